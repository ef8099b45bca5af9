"""How the trials of a grid are trained together.

The loop, its data and random numbers, measures and memory; parts of it have folders.
It may import the experiment, problems, optimizers, schedules and what is below them.
"""
