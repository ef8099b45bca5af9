"""The wrappers that are built in: what is put around a rule, as in adamw+ema.

Each file holds one wrapper, named after the file.
It may import gdcli/method.py, trees, fields and the optimizers' arithmetic.
"""
