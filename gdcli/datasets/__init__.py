"""How a file becomes training and test examples.

Readers, what a cell means, splitting and scaling, and the data that travel with gdcli.
It may import the contract of problems, fields, errors and comma lists.
"""
