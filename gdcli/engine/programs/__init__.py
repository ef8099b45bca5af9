"""How a stack of trials computes losses and gradients.

One file a way: closed forms, linear models, stacked layers, autograd; the family chooses.
It may import gdcli/engine's layers, theory, devices and data.
"""
