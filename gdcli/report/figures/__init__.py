"""How a chart becomes a PNG, SVG or PDF file.

Lines and heatmaps by matplotlib, and their style.
It may import gdcli/report's pictures and labels.
"""
