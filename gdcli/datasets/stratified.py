"""How many examples of each class are held out, where the test part keeps the classes' shares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from gdcli.datasets.classes import Classes, tell_absent
from gdcli.datasets.features import Apart
from gdcli.datasets.notes import note
from gdcli.datasets.split import Scale, divided, parts, prepare
from gdcli.errors import UserError
from gdcli.fields import LATER, counted, show
from gdcli.problem import Array, Data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LISTED = 5  # classes that a line names


@dataclass(frozen=True, kw_only=True)
class Stratified:
    """The option of a problem with classes whose examples are split."""

    stratify: Annotated[
        bool, LATER, "split so that both parts have the same share of each class, as far as it goes"
    ] = False

    def check_stratified(self, own_test_part: str | None, test_fraction: float) -> None:
        """Raise UserError where nothing is split; `own_test_part` names a set that has one."""
        if not self.stratify:
            return
        if own_test_part is not None:
            what = f"{own_test_part} has a test part of its own, which is not drawn"
            raise UserError("--stratify", what, "leave it out")
        if not test_fraction:
            what = "with --test-fraction 0 no example is held out"
            raise UserError("--stratify", what, "leave it out, or hold some out")

    def split(
        self,
        x: Array,
        y: Array,
        classes: Classes,
        how: tuple[float, Scale],
        rng: np.random.Generator,
    ) -> Data:
        """Return the split examples; `how`: the part that is held out, and the scale.

        y: targets of any kind. Raises UserError where the examples have a test part of their own,
        and --stratify is given.
        """
        test_fraction, scale = how
        if isinstance(x, Apart):
            self.check_stratified(x.file, test_fraction)
            data = prepare(x, y, test_fraction, scale, rng)
        else:
            data = divided(x, y, self.drawn(classes, test_fraction, rng), scale)
        tell_absent(data, classes, stratified=self.stratify)
        return replace(data, classes=classes.names)

    def drawn(
        self, classes: Classes, test_fraction: float, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Return the indices of the training and of the test examples, drawn at random."""
        import numpy as np

        both = parts(len(classes.places), test_fraction, rng)
        return stratified(np.concatenate(both), classes, len(both[1])) if self.stratify else both


def stratified(order: NDArray[np.int64], classes: Classes, held_out: int) -> tuple[Array, Array]:
    """Return the training and the test examples of an order: of each class the last are held out.

    Says which classes are too small to have one in the test part.
    """
    import numpy as np

    labels = classes.places[order]
    counts = np.bincount(labels, minlength=len(classes.names))
    held = shares(counts, held_out)
    by_class = np.argsort(labels, kind="stable")  # each class in the order that was drawn
    rank = np.empty(len(order), np.int64)
    rank[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    last = rank >= (counts - held)[labels]
    _tell_small(counts, held, classes.names)
    return order[~last], order[last]


def shares(counts: NDArray[np.int64], held_out: int) -> NDArray[np.int64]:
    """Return how many of each class are held out, so many in all, by the largest remainders.

    Where there is room for it, a class of two examples or more has one in each part; the only
    example of a class is one to train on.
    """
    import numpy as np

    quotas = counts * held_out / counts.sum()
    least, most = (counts > 1).astype(np.int64), np.maximum(counts - 1, 0)
    held: NDArray[np.int64] = np.clip(np.floor(quotas).astype(np.int64), least, most)
    while (missing := held_out - int(held.sum())) > 0:
        room = held < most if (held < most).any() else held < counts
        held[np.where(room, quotas - held, -np.inf).argmax()] += 1
    for _ in range(-missing):
        spare = held > least if (held > least).any() else held > 0
        held[np.where(spare, quotas - held, np.inf).argmin()] -= 1
    return held


def _tell_small(counts: NDArray[np.int64], held: NDArray[np.int64], names: tuple[str, ...]) -> None:
    small = ((counts > 0) & (held == 0)).nonzero()[0].tolist()
    if small and held.any():
        listed = ", ".join(show(names[i]) for i in small[:LISTED])
        listed += ", ..." if len(small) > LISTED else ""
        few = counted(int(counts[small].max()), "example", "examples")
        of = "class" if len(small) == 1 else "classes"
        at_most = "" if len(small) == 1 else "at most "
        has = "has" if len(small) == 1 else "have"
        note(
            f"--stratify: the {of} {listed} {has} {at_most}{few}: too few for the test part, "
            "all are to train on"
        )
