"""The learning-rate schedules that are built in.

One file a schedule: the file's name is the schedule's.
It may import gdcli/schedule.py and fields.
"""
