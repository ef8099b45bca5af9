"""What happens in a single step of descent.

`gdcli step`: a formula's gradient, node by node.
It may import what gdcli/studies may import.
"""
