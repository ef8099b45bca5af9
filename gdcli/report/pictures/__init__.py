"""Which lines, panels and squares a chart of a run has.

One file a kind of chart, before it is known how the chart is drawn.
It may import analysis and gdcli/report's labels.
"""
