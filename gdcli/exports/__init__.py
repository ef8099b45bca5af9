"""How other tools read a run.

A file to_NAME.py holds the exporter NAME; the files are found, and listed nowhere.
It may import runs, analysis, studies and everything below them.
"""
