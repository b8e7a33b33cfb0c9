"""Programs that turn text and fonts into what training reads: ``python -m data_prep COMMAND``."""
