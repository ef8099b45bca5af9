"""What the results of a run say.

Reading of summary.csv and curves.csv, statistics over seeds, theory, targets; no printing.
It may import runs, engine and what is below them.
"""
