"""The sections of a run's page that only some runs have.

One file a section.
It may import what gdcli/report may import.
"""
