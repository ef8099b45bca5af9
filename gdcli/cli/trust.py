"""`--trust`: whether code that a run's folder names may be run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Trust:
    """What is thought of whoever made the folder."""

    trust: Annotated[bool, "run the code of the user's own that the run's folder names"] = False
