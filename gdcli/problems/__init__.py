"""The problems that are built in.

One file a problem: the file's name is the problem's.
It may import gdcli/problem, datasets, formulas and fields.
"""
