"""What every part of an experiment must keep to, whoever wrote it: `gdcli check`.

Parts are problems, optimizers, wrappers, schedules and measures. The tests apply the same laws to
gdcli's own.
"""
