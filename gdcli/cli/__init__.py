"""What can be typed on the command line, and what happens then.

One file a command, the options that commands share, and exit codes.
It may import everything but gdcli/api.
"""
