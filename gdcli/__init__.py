"""Grids of gradient-descent experiments in one command, with loss curves anyone can reproduce."""

__version__ = "0.1.0"
