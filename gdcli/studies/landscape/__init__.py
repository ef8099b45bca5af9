"""What the loss looks like around a run.

`gdcli landscape`: slices through the parameters.
It may import what gdcli/studies may import.
"""
