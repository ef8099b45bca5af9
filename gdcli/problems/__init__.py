"""The problems that are built in.

Each file holds one problem, named after the file.
It may import gdcli/problem, datasets, formulas and fields.
"""
