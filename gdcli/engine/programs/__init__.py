"""How a family of problems computes losses and gradients for a stack of trials.

One file a family; gdcli/engine/families.py chooses among them.
It may import gdcli/engine's layers, devices and data.
"""
