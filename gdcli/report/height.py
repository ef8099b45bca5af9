"""How high a loss of a landscape lies, as a share of the picture's range of colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gdcli.report.scale import Scale, scale_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOWEST = 0.005  # share of the points that may lie below the scale: one close to a minimum would
# stretch a logarithmic scale over decades that hold nothing else


def height_scale(losses: NDArray[np.float64]) -> Scale | None:
    """Return the scale of the finite losses; None where there is none."""
    finite = losses[np.isfinite(losses)]
    if not finite.size:
        return None
    low = np.quantile(finite, LOWEST, method="lower")
    return scale_of(finite[finite >= low].tolist())


def heights(losses: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
    """Return each loss's place on the scale, from 0 to 1; nan where it is not finite."""
    places = [scale(loss) if np.isfinite(loss) else np.nan for loss in losses.ravel().tolist()]
    return np.array(places).reshape(losses.shape)
