"""What a run's manifest says of its problems: what theory starts from, and the trials' goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, NamedTuple, NotRequired, TypedDict

from gdcli.analysis.rows import REPAIR, Value, value_of
from gdcli.door import fits
from gdcli.engine.baseline import Baseline
from gdcli.engine.curvature import Curvature
from gdcli.engine.noise_floor import Floor
from gdcli.engine.quantized_size import Quantized
from gdcli.engine.spread import Spread
from gdcli.errors import UserError


class Facts(NamedTuple):
    """One problem of a run; None is what is not known."""

    examples: int
    minimum: float | None = None  # the least training loss, at some parameters
    curvature: Curvature | None = None
    floors: tuple[Floor, ...] = ()
    identity: str = ""  # the same in every run on this problem and these examples
    quantized: Quantized | None = None
    infimum: float | None = None  # where there is no minimum: what the loss may fall towards for
    # ever, as that of separable classes without a penalty does to 0
    baseline: Baseline | None = None
    spread: Spread | None = None
    network: bool = False
    convex: bool | None = None
    bound: float | None = None  # a loss that no parameters are below
    scale: str | None = None  # how features were scaled

    def floor(self, batch_size: int, lr: float) -> Floor | None:
        """Return where SGD settles with batches of this size at this rate; None: not known."""
        found = (f for f in self.floors if (f.batch_size, f.lr) == (batch_size, lr))
        return next(found, None)


class Settled(TypedDict):
    """A floor as JSON has it: None stands for inf."""

    batch_size: int
    lr: float
    excess: float | None
    mean: float | None


class Entry(TypedDict):
    """One problem of a run, as its manifest has it."""

    problem: str
    options: dict[str, str]
    examples: int
    minimum: float | None
    curvature: Curvature | None
    floors: NotRequired[list[Settled]]
    quantized: NotRequired[Quantized | None]
    infimum: NotRequired[float | None]
    baseline: NotRequired[Baseline | None]
    spread: NotRequired[Spread | None]
    network: NotRequired[bool]
    convex: NotRequired[bool | None]
    bound: NotRequired[float | None]
    scale: NotRequired[str | None]


Ending = TypedDict(
    "Ending",
    {
        "tol": NotRequired[float | None],
        "target-loss": NotRequired[float | None],
        "order": NotRequired[str],
        "remainder": NotRequired[str],
    },
)


class Goals(NamedTuple):
    """The goals at which a trial ends, and in which order it sees the examples."""

    tol: float | None
    target_loss: float | None
    order: str
    remainder: str


class Theory:
    """The facts of a run's problems, and its goals, as its manifest has them."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        """Take the content of manifest.json; raises UserError where it is damaged."""
        grid, entries = manifest["experiment"]["settings"]["grid"], manifest.get("theory")
        if not (fits(grid, Ending) and fits(entries, list[Entry])):
            what = "it does not say what theory needs of the problem"
            raise UserError("manifest.json", what, REPAIR)
        self.goals = _goals(grid)
        self._facts = [
            (_options(entry), _facts(entry, _identity(entry, manifest))) for entry in entries or ()
        ]

    @property
    def problems(self) -> Sequence[tuple[Mapping[str, Value], Facts]]:
        """The problems: the options that tell each from the others, and what is known of it."""
        return [(dict(options), facts) for options, facts in self._facts]

    def of(self, names: Sequence[str], setting: Sequence[Value]) -> Facts | None:
        """Return the facts of the problem of a setting, whose values have these names."""
        given = dict(zip(names, setting, strict=True))
        for options, facts in self._facts:
            if all(given.get(name) == value for name, value in options):
                return facts
        return None


def _goals(grid: Mapping[str, Any]) -> Goals:
    order, remainder = grid.get("order", "shuffle"), grid.get("remainder", "keep")
    return Goals(grid.get("tol"), grid.get("target-loss"), order, remainder)


def _options(entry: Mapping[str, Any]) -> tuple[tuple[str, Value], ...]:
    return tuple((name, value_of(cell)) for name, cell in entry["options"].items())


def _identity(entry: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    key = entry["problem"]
    return f"{manifest['experiment']['problem']} {key} {manifest.get('data', {}).get(key)}"


def _facts(entry: Mapping[str, Any], identity: str) -> Facts:
    curvature, baseline, spread = entry["curvature"], entry.get("baseline"), entry.get("spread")
    return Facts(
        entry["examples"],
        entry["minimum"],
        Curvature(**curvature) if curvature else None,
        tuple(map(_floor, entry.get("floors", ()))),
        identity,
        Quantized(**entry["quantized"]) if entry.get("quantized") else None,
        entry.get("infimum"),
        Baseline(**baseline) if baseline else None,
        Spread(**spread) if spread else None,
        bool(entry.get("network")),
        entry.get("convex"),
        entry.get("bound"),
        entry.get("scale"),
    )


def _floor(entry: Mapping[str, Any]) -> Floor:
    excess, mean = (inf if entry[name] is None else entry[name] for name in ("excess", "mean"))
    return Floor(entry["batch_size"], entry["lr"], excess, mean)
