"""Scores as the tasks' publishers compute them."""
