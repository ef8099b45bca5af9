"""Environment variables of every process that computes."""

from __future__ import annotations

# One thread a process, and one path through MKL for all shapes: otherwise the bits of a trial
# depend on its neighbours. NumPy and torch read them when they are imported.
SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MKL_CBWR": "AUTO",
}
