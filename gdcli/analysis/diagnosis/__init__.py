"""How a trial went: its state, its qualities, its forecast.

The evidence of a trial, and the two lists of words with the tests that give them.
It may import what gdcli/analysis may import.
"""
