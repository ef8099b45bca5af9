"""Runs in the forms that other tools read; each file writes one, from a run's files alone."""
