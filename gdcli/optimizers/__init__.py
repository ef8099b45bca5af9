"""The optimizers that are built in.

Each file holds one optimizer, named after the file.
It may import gdcli/optimizer.py, fields and arrays.
"""
