"""What an experiment asks for.

Axes, grid, experiment, its TOML file and the schema of that.
It may import catalog and everything below it.
"""
