"""How a run, an exploration or a step becomes one HTML file.

Templates, style and scripts that pages share, a run's content as JSON, and the contract of views.
It may import what gdcli/report may import.
"""
