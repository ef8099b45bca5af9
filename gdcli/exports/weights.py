"""What is exported of one trial's weights, which are found by training it again."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from gdcli.exports.target import refuse_existing
from gdcli.runs import atomic
from gdcli.studies.again import trained_again

if TYPE_CHECKING:
    from collections.abc import Callable

    from gdcli.runs.progress import Progress


def export(  # noqa: PLR0913 -- what, of whom, where to, and on what terms
    to: str,
    folder: Path,
    trial: str,
    file: Path | None,
    make_bar: Callable[[], Progress],
    *,
    trust: bool,
    overwrite: bool,
) -> tuple[bytes, str]:
    """Train a trial of a run again and write its weights as `to` has them.

    Return the content, which is all that is made of it where there is no file, and what to tell.
    """
    if file is not None:
        refuse_existing([file], overwrite=overwrite)
    kind = import_module(f"gdcli.exports.to_{to}")
    weights = trained_again(folder, trial, make_bar, trust=trust, check=kind.check)
    content: bytes = kind.content(weights)
    if file is not None:
        atomic.write(file, [content])
    said = f"after step {weights.step}, with a training loss of {weights.loss:.6g}"
    return (
        content,
        f"trial {trial} was trained again, and {weights.how}: its weights are those {said}",
    )
