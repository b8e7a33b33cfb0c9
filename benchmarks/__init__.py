"""Side-by-side measurements: ``python -m benchmarks.NAME``. Results with hardware and date are in ``results/``."""
