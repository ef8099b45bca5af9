"""What every problem, optimizer and schedule must keep to, whoever wrote it: `gdcli check`.

The tests apply the same laws to gdcli's own problems, optimizers and schedules.
"""
