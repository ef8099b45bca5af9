"""What `gdcli show --view NAME` prints.

One file a view, found by run_view.py: its name is the view's, its docstring the help.
It may import what gdcli/report may import; what is slow to import, inside of methods.
"""
