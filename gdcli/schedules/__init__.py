"""The learning-rate schedules that are built in.

Each file holds one schedule, named after the file.
It may import gdcli/schedule.py and fields.
"""
