"""What the results of a run say.

Statistics over seeds, diagnosis, theory and targets; runs reads the files, report prints.
It may import runs, engine and what is below them.
"""
