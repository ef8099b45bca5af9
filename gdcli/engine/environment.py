"""What the environment of every process that computes has to say."""

from __future__ import annotations

# One thread a process, and the same path through MKL whatever the shapes: with more, the bits
# of a trial depend on its neighbours. Read when numpy and torch are imported.
SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MKL_CBWR": "AUTO",
}
