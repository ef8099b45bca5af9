"""What every problem, optimizer and schedule must keep to, whoever wrote it: `gdcli check`.

The tests hold gdcli's own to the same laws.
"""
