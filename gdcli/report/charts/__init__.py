"""How a chart is drawn, in a terminal or in a file.

Charts of a run, their scales, and the two ways of drawing them.
It may import gdcli/report's labels and tables.
"""
