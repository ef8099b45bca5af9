"""What `gdcli show --view NAME` prints.

One file a view.
It may import what gdcli/report may import.
"""
