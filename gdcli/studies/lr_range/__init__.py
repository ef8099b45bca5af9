"""Which learning rates are worth trying.

`gdcli lr-range`: the search, and how it is shown.
It may import what gdcli/studies may import.
"""
