"""Where batches of trials run.

In this process, in worker processes, on a Ray cluster.
It may import runs and what is below them.
"""
