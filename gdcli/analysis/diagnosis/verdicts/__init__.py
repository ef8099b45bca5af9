"""What may be said of a trial: its states and its qualities.

A file holds classes of TrialState or TrialQuality: they are found, and listed nowhere.
It may import what gdcli/analysis may import.
"""
