"""What a run's folder holds.

The columns of its tables, and writing, reading, checking, reusing and merging of runs.
It may import engine and what is below it.
"""
