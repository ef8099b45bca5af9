"""What a family of problems answers: how it is trained, what it takes, what is known of it.

One object a family, found by the problem's class; and what their programs on torch share.
It may import gdcli/engine's programs, layers and data.
"""
