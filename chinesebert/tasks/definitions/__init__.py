"""One file a task (or a few that share their format): ``TASKS`` in each is found by ``chinesebert.tasks.registry``."""
