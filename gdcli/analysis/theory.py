"""What theory expects of a setting at a learning rate, from what manifest.json knows of a problem.

On a quadratic the curvatures, the eigenvalues of the Hessian, say nearly all; L is the largest, mu
the smallest. Along an axis of curvature h, a step of a linear optimizer multiplies the gap to the
minimiser, and the velocity, by a matrix that depends on h alone (Lessard, Recht and Packard 2016;
Goh, Distill 2017).
"""

from __future__ import annotations

import math
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict, cast

from gdcli.catalog.catalog import OPTIMIZERS, SCHEDULES, Catalogue
from gdcli.door import fits
from gdcli.engine.families.known import Baseline, Curvature, FeatureSpread
from gdcli.engine.families.noise_floor import Floor
from gdcli.errors import UserError
from gdcli.fields import Option, options_of
from gdcli.optimizer import OF_EVERY_RULE
from gdcli.optimizers.momentum import Momentum
from gdcli.optimizers.nesterov import Nesterov
from gdcli.optimizers.vanilla import Vanilla
from gdcli.problem import Quantized
from gdcli.runs.csv_read import REPAIR, Value, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gdcli.optimizer import Rule
    from gdcli.schedule import Schedule

AT = 2e-15  # a relative difference from a limit that is rounding


class FastestMomentum(NamedTuple):
    """The fastest momentum at a learning rate, and the factor of the distance in each step."""

    lr: float
    beta: float
    rate: float


class Limit(NamedTuple):
    """The learning rate at which theory says that descent ceases to be stable."""

    lr: float
    exact: bool  # descent diverges above it, but for a start without a share in the largest
    # curvature; else it converges below it, and may above it, too


def limit_of(optimizer: Rule, method: str, curvature: Curvature) -> Limit | None:
    """Return the limit of a setting, None where none is known.

    If the Hessian is only bounded, plain descent on all examples converges below 2/L. Batches
    whose Hessians differ have another limit, which is not known.
    """
    if method != "gd" and not curvature.every_batch:
        return None
    lr = stability_limit(optimizer, curvature.largest)
    plain = type(optimizer) is Vanilla
    return Limit(lr, curvature.exact) if lr and (curvature.exact or plain) else None


def limit_formula(optimizer: Rule) -> str:
    """Return the limit of a linear optimizer as a formula of L, the largest curvature."""
    largest = "(L + weight decay)" if optimizer.weight_decay else "L"
    if isinstance(optimizer, Nesterov):
        return f"2(1+beta)/({largest}(1+2 beta))"
    return f"2(1+beta)/{largest}" if isinstance(optimizer, Momentum) else f"2/{largest}"


def stability_limit(optimizer: Rule, largest: float) -> float | None:
    """Return the learning rate up to which full-batch descent converges.

    2/L, for heavy ball 2(1+beta)/L, for Nesterov 2(1+beta)/(L(1+2 beta)). Weight decay adds to the
    curvature. None: it is not known, as for adaptive optimizers and clipped gradients.
    """
    stable, curvature = _stable_product(optimizer), largest + optimizer.weight_decay
    return None if stable is None or curvature <= 0 else stable / curvature


def stable_sharpness(optimizer: Rule, lr: float) -> float | None:
    """Return the curvature up to which full-batch descent at this rate is stable.

    It is 2/lr where `stability_limit` is 2/L. None: it is not known.
    """
    stable = _stable_product(optimizer)
    return None if stable is None else stable / lr - optimizer.weight_decay


def sharpness_formula(optimizer: Rule) -> str:
    """Return the stable sharpness of a linear optimizer as a formula of its learning rate."""
    decay = " - weight decay" if optimizer.weight_decay else ""
    if isinstance(optimizer, Nesterov):
        return f"2(1+beta)/(lr(1+2 beta)){decay}"
    return f"2(1+beta)/lr{decay}" if isinstance(optimizer, Momentum) else f"2/lr{decay}"


def convergence_rate(optimizer: Rule, lr: float, curvatures: Iterable[float]) -> float | None:
    """Return the factor by which a step shrinks the distance to the minimiser, in the long run.

    It is the spectral radius of the step's matrix, the largest over the curvatures. mu and L are
    enough of them: between the two it is no larger. None: it is not known.
    """
    beta = _momentum(optimizer)
    if beta is None:
        return None
    radius = _nesterov if isinstance(optimizer, Nesterov) else _heavy_ball
    return max(radius(lr * (h + optimizer.weight_decay), beta) for h in curvatures)


def condition_number(curvature: Curvature) -> float | None:
    """Return L / mu, mu the smallest curvature above 0; None: it is not known exactly."""
    return curvature.largest / curvature.slowest if curvature.slowest else None


def best_momentum(optimizer: Rule, lr: float, curvature: Curvature) -> FastestMomentum | None:
    """Return the momentum at which a heavy ball or Nesterov is fastest at this learning rate.

    With more momentum the slowest axis swings, and the rate is that at which momentum fades: the
    square root of beta for heavy ball. None for other optimizers, for curvatures that are only
    bounded, and where no momentum makes this learning rate stable.
    """
    condition = condition_number(curvature)
    beta = _momentum(optimizer)
    if condition is None or beta is None or optimizer.weight_decay or type(optimizer) is Vanilla:
        return None
    steps = [lr * curvature.largest / condition, lr * curvature.largest]
    ahead = isinstance(optimizer, Nesterov)
    best = _best_nesterov(*steps) if ahead else max((1 - math.sqrt(s)) ** 2 for s in steps)
    rate = max((_nesterov if ahead else _heavy_ball)(step, best) for step in steps)
    return FastestMomentum(lr, best, rate) if rate < 1 else None


def has_too_much_momentum(optimizer: Rule, lr: float, curvature: Curvature) -> bool:
    """Return whether less momentum would surely be faster at this learning rate."""
    best, beta = best_momentum(optimizer, lr, curvature), _momentum(optimizer)
    return best is not None and beta is not None and beta > best.beta + AT


def _stable_product(optimizer: Rule) -> float | None:
    """Return the learning rate times the curvature up to which descent is stable."""
    beta = _momentum(optimizer)
    if beta is None:
        return None
    ahead = 1 + 2 * beta if isinstance(optimizer, Nesterov) else 1.0
    return 2 * (1 + beta) / ahead


def _momentum(optimizer: Rule) -> float | None:
    """Return the beta of a linear optimizer, 0 for plain descent; None for any other."""
    if optimizer.clip_norm is not None:
        return None
    # A user's own kind of momentum may step in another way.
    if type(optimizer) in (Momentum, Nesterov):
        return cast("Momentum", optimizer).beta
    return 0.0 if type(optimizer) is Vanilla else None


def _heavy_ball(step: float, beta: float) -> float:
    """Return the larger root of z^2 - (1 + beta - lr h) z + beta, in size."""
    return _largest_root(1 + beta - step, beta)


def _nesterov(step: float, beta: float) -> float:
    """Return the larger root of z^2 - (1 + beta)(1 - lr h) z + beta (1 - lr h), in size."""
    return _largest_root((1 + beta) * (1 - step), beta * (1 - step))


def _best_nesterov(slowest: float, fastest: float) -> float:
    """Return the beta of the least rate, for the least and the largest lr h.

    As it grows the slowest axis gets faster, until its roots meet. The fastest one gets slower
    where lr h is above 1: then the best may be where both are as fast.
    """
    if slowest >= 1:
        return 0.0
    root = math.sqrt(slowest)
    low, high = 0.0, (1 - root) / (1 + root)
    if _nesterov(fastest, high) <= _nesterov(slowest, high):
        return high
    for _ in range(60):
        middle = (low + high) / 2
        if _nesterov(fastest, middle) <= _nesterov(slowest, middle):
            low = middle
        else:
            high = middle
    return low


def _largest_root(total: float, product: float) -> float:
    """Return the size of the larger root of z^2 - total z + product."""
    square = total * total - 4 * product
    if square < 0:
        return math.sqrt(product)  # a pair of complex numbers
    return (abs(total) + math.sqrt(square)) / 2


class Expectation(NamedTuple):
    """What is known of a setting; None is what is not."""

    optimizer: Rule
    limit: Limit | None = None
    rate: float | None = None  # the factor by which a step shrinks the distance to the minimiser
    floor: Floor | None = None
    edge: float | None = None  # sharpness up to which steps are stable, where the Hessian varies


def expectation(
    given: Mapping[str, Value], lr: float, facts: ProblemConstants | None, goals: Goals
) -> Expectation | None:
    """Return what theory expects of the setting `given`, by name; None of an unknown optimizer.

    Of a schedule that is not constant, of whatever setting, nothing is expected.
    """
    optimizer = optimizer_of(given)
    if optimizer is None:
        return None
    if facts is None or given["schedule"] != "constant" or goals.schedule_for:
        return Expectation(optimizer)
    method, curvature = str(given["method"]), facts.curvature
    return Expectation(
        optimizer,
        limit_of(optimizer, method, curvature) if curvature else None,
        _rate(optimizer, method, lr, facts),
        _floor(optimizer, given, lr, facts, goals),
        _edge(optimizer, method, lr, facts),
    )


def optimizer_of(given: Mapping[str, Value]) -> Rule | None:
    """Return the optimizer of a setting, with its fields that vary; None of one's own."""
    found: Rule | None = _component(given, "optimizer", OPTIMIZERS)
    return found


def schedule_of(given: Mapping[str, Value]) -> Schedule | None:
    """Return the schedule of a setting, with its fields that vary; None of one's own."""
    found: Schedule | None = _component(given, "schedule", SCHEDULES)
    return found


def _component(given: Mapping[str, Value], what: str, known: Catalogue[Any]) -> Any:
    """Return the built-in of a name that a setting has, with its fields that vary."""
    name = str(given[what])
    rule = _rule(name, what, known)
    if rule is None:
        return None
    kind, options = rule
    fields: dict[str, Any] = {}
    for option in options:
        column = option.field if option.field in OF_EVERY_RULE else f"{name}.{option.field}"
        if (value := given.get(column)) is not None:
            fields[option.field] = option.read(str(value), column)
    return kind(**fields)


@lru_cache  # a run may have thousands of settings, and a handful of optimizers
def _rule(name: str, what: str, known: Catalogue[Any]) -> tuple[type, tuple[Option, ...]] | None:
    """Return the built-in class of that name and its options, None where there is none."""
    if name not in known.built_in():  # nobody's own file is run for it
        return None
    kind = known.find(name, what)
    return kind, tuple(options_of(kind).values())


def _rate(optimizer: Rule, method: str, lr: float, facts: ProblemConstants) -> float | None:
    """Return the rate of descent on all examples where the Hessian is the same everywhere.

    Along axes of curvature 0 the gradient is 0: there is nothing to descend. Weight decay has
    another minimiser than the loss: the gradient does not vanish there.
    """
    curvature = facts.curvature
    if method != "gd" or curvature is None or not curvature.exact or optimizer.weight_decay:
        return None
    slowest = curvature.slowest
    return convergence_rate(optimizer, lr, (slowest, curvature.largest)) if slowest else None


def _edge(optimizer: Rule, method: str, lr: float, facts: ProblemConstants) -> float | None:
    """Return the stable sharpness of descent on all examples, unless the limit says it all."""
    known = facts.curvature is not None and facts.curvature.exact
    return None if method != "gd" or known else stable_sharpness(optimizer, lr)


def _floor(
    optimizer: Rule,
    given: Mapping[str, Value],
    lr: float,
    facts: ProblemConstants,
    goals: Goals,
) -> Floor | None:
    """Return the floor of plain SGD that draws with replacement; none is known of a shuffle."""
    size, plain = given["batch_size"], type(optimizer) is Vanilla and optimizer == Vanilla()
    if not plain or given["method"] == "gd" or goals.order != "replacement":
        return None
    return facts.floor(size, lr) if isinstance(size, int) else None


class ProblemConstants(NamedTuple):
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
    spread: FeatureSpread | None = None
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


class ProblemEntry(TypedDict):
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
    spread: NotRequired[FeatureSpread | None]
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
        "schedule-for": NotRequired[str | None],
    },
)


class Goals(NamedTuple):
    """The goals at which a trial ends, and in which order it sees the examples."""

    tol: float | None
    target_loss: float | None
    order: str
    remainder: str
    schedule_for: str | None = None  # settings besides the learning rate that change
    budget: str = "epochs"  # or steps: in what its length is given


class RunConstants:
    """The facts of a run's problems, and its goals, as its manifest has them."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        """Take the content of manifest.json; raises UserError where it is damaged."""
        grid, entries = manifest["experiment"]["settings"]["grid"], manifest.get("theory")
        if not (fits(grid, Ending) and fits(entries, list[ProblemEntry])):
            what = "it does not say what theory needs of the problem"
            raise UserError("manifest.json", what, REPAIR)
        self.goals = _goals(grid)
        self._facts = [
            (_options(entry), _facts(entry, _identity(entry, manifest))) for entry in entries or ()
        ]

    @property
    def problems(self) -> Sequence[tuple[Mapping[str, Value], ProblemConstants]]:
        """The problems: the options that tell each from the others, and what is known of it."""
        return [(dict(options), facts) for options, facts in self._facts]

    def of(self, names: Sequence[str], setting: Sequence[Value]) -> ProblemConstants | None:
        """Return the facts of the problem of a setting, whose values have these names."""
        given = dict(zip(names, setting, strict=True))
        for options, facts in self._facts:
            if all(given.get(name) == value for name, value in options):
                return facts
        return None


def _goals(grid: Mapping[str, Any]) -> Goals:
    order, remainder = grid.get("order", "shuffle"), grid.get("remainder", "keep")
    changing = grid.get("schedule-for")
    budget = "steps" if "steps" in grid else "epochs"
    return Goals(grid.get("tol"), grid.get("target-loss"), order, remainder, changing, budget)


def _options(entry: Mapping[str, Any]) -> tuple[tuple[str, Value], ...]:
    return tuple((name, value_of(cell)) for name, cell in entry["options"].items())


def _identity(entry: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    key = entry["problem"]
    return f"{manifest['experiment']['problem']} {key} {manifest.get('data', {}).get(key)}"


def _facts(entry: Mapping[str, Any], identity: str) -> ProblemConstants:
    curvature, baseline, spread = entry["curvature"], entry.get("baseline"), entry.get("spread")
    return ProblemConstants(
        entry["examples"],
        entry["minimum"],
        Curvature(**curvature) if curvature else None,
        tuple(map(_known_floor, entry.get("floors", ()))),
        identity,
        Quantized(**entry["quantized"]) if entry.get("quantized") else None,
        entry.get("infimum"),
        Baseline(**baseline) if baseline else None,
        FeatureSpread(**spread) if spread else None,
        bool(entry.get("network")),
        entry.get("convex"),
        entry.get("bound"),
        entry.get("scale"),
    )


def _known_floor(entry: Mapping[str, Any]) -> Floor:
    excess, mean = (inf if entry[name] is None else entry[name] for name in ("excess", "mean"))
    return Floor(entry["batch_size"], entry["lr"], excess, mean)
