"""The corpus pipeline: stages of datatrove steps over chunks of documents, run by any of its executors.

In reading order: ``workspace`` (what lies where), ``settings`` (what a rerun must agree on), ``chunks`` (documents on
disk), ``steps`` (what is done to them), ``stages`` (in which order), ``executors`` (where) and ``slurm_jobs``,
``progress`` and ``outcome`` (what the user sees).
"""
