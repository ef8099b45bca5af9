"""How each example takes part in training.

`gdcli explore`: dynamics, label errors, data map.
It may import what gdcli/studies may import.
"""
