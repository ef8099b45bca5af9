"""Where one verdict ends and the next begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt


@dataclass(frozen=True)
class Thresholds:
    """Ratios, so that no unit matters; `gdcli.analysis.verdict` says how they are used."""

    near: Annotated[
        float, "gap to the minimum, or gradient norm, over the start's, that is convergence", Gt(0)
    ] = 1e-6
    stationary: Annotated[
        float, "gradient norm, over the start's, of a flat curve that has converged", Gt(0)
    ] = 1e-3
    flat: Annotated[float, "fall over the last quarter, over the level, that is none", Gt(0)] = 1e-3
    overshoot: Annotated[float, "rise, over the scale, that is more than noise", Gt(0)] = 0.1
    sure: Annotated[float, "standard deviations of noise that make a trend sure", Gt(0)] = 2.0
