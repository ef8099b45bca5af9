"""How a layer of a network computes, for one trial and for many at once.

PyTorch's modules as functions of their parameters, stacked layers, and quantized layers.
It may import torch, and gdcli/engine's random streams.
"""
