"""How a trial went: its state, its qualities, its forecast.

Evidence, the figures derived from it, the contract of a verdict, and the folder of verdicts.
It may import what gdcli/analysis may import.
"""
