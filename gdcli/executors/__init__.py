"""How a run is carried out: which batches are computed, where, and again when a worker dies.

A file here with a class of `supervisor.Executor` is an executor: `--executor` takes its name. The
others hold what executors share: the supervisor, and what a worker process or a node does.
It may import runs and what is below them.
"""
