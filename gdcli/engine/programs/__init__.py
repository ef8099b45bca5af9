"""How a stack of trials computes losses and gradients, and which steps it can fuse.

One file a way: linear models, stacked layers, autograd; the problem's family chooses.
It may import gdcli/engine's layers, devices, data and update.
"""
