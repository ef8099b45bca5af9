"""Modules of PyTorch as functions: of parameters, of what they draw, of what they carry along."""
