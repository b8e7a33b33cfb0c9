"""The one exception that programs show to a user without a traceback."""


class InputError(ValueError):
    """Something the user gave is wrong and the user can mend it.

    The message is one sentence or two: what is wrong, where (file, line or record), what to do. Programs in
    ``data_prep/`` and ``launch/`` print it as ``error: …`` and exit with status 2.
    """
