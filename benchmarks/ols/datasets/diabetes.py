"""The diabetes data, split and scaled as gdcli does it, and where gdcli starts."""

from __future__ import annotations

from typing import Any

from benchopt import BaseDataset

from benchmarks.benchopt_run import cohort


class Dataset(BaseDataset):
    """The training part."""

    name = "diabetes"

    def get_data(self) -> dict[str, Any]:
        """Return the examples and the starting point."""
        loaded = cohort()
        x, y = loaded.part("train")
        return {"x": x, "y": y, **loaded.starts[0]}
