"""The optimizers that are built in.

One file an optimizer: the file's name is the optimizer's.
It may import gdcli/optimizer.py, fields and arrays.
"""
