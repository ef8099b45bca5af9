"""What the measures of all examples come to in one setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcli.analysis.data_map import REGIONS, precision_and_recall

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gdcli.analysis.rows import Value

    Measures = Mapping[str, NDArray[Any]]


def counts_of(
    measures: Measures, flipped: NDArray[np.bool_] | None, expected_false: float | None = None
) -> dict[str, Value]:
    """Return shares and means over the examples, by column; those of a regression are fewer.

    never_learned and unforgettable are shares: of the examples that no seed got right after an
    epoch, and of those that every seed which got them right kept so. forgetting is the mean number
    of times that an example ceased to be right; expected_false is how many of the likely errors
    are right labels, as far as the spread of their classes tells.
    """
    if "region" not in measures:
        return {name: float(values.mean()) for name, values in measures.items()}
    shares = {
        name: float((measures["region"] == place).mean()) for place, name in enumerate(REGIONS)
    }
    never = np.isnan(measures["first_learned"])
    errors = measures["likely_error"]
    counts: dict[str, Value] = {
        **shares,
        "never_learned": float(never.mean()),
        "unforgettable": float(((measures["forgetting"] == 0) & ~never).mean()),
        "forgetting": float(measures["forgetting"].mean()),
        "el2n": float(measures["el2n"].mean()),
        "likely_errors": int(errors.sum()),
        "expected_false": expected_false,
    }
    if flipped is not None and flipped.any():
        counts["precision"], counts["recall"] = precision_and_recall(errors, flipped)
    return counts
