"""Cleaning of Chinese web text: one step a file, thresholds in ``configs/cleaning/web.yaml``."""
