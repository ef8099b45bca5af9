"""What a run's folder holds.

Writing, keeping, reading, checking, reusing and merging of runs.
It may import engine and what is below it.
"""
