"""How a run, an exploration or a step becomes one HTML file.

Sections as Python, HTML and JavaScript files of one name, and what all pages share.
It may import what gdcli/report may import.
"""
