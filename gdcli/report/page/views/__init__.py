"""The sections of a run's page.

A file with a view or several, found by run_page.py, and the template and script of each beside it.
It may import what gdcli/report may import.
"""
