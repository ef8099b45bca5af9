"""What a command looks into besides training a grid.

Computation only: learning rates, landscapes, examples, gradients; report shows it.
It may import analysis, runs, engine and what is below them.
"""
