"""The measures that are built in: what `--measure` records at every point besides the losses.

One file a measure; the file's name is the measure's.
It may import gdcli/measure.py, and gdcli/engine late, inside its methods.
"""
