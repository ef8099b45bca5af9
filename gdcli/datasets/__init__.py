"""How a file becomes training and test examples.

Readers, the meaning of a cell, splitting and scaling, and the data sets of gdcli.
It may import the contract of problems, fields, errors and comma lists.
"""
