"""What the page shows of theory: what is known of the problems, and each rate beside it."""

from __future__ import annotations

from functools import partial
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Any

from gdcli.analysis.theory import condition_number, limit_formula
from gdcli.report.page.content import expected_at, plain
from gdcli.report.page.run_page import Content, PageRun, PageView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gdcli.analysis.best import Setting
    from gdcli.analysis.diagnoses import RateDiagnosis
    from gdcli.analysis.theory import Expectation, ProblemConstants, RunConstants
    from gdcli.report.charts.charts import MetricOfRun
    from gdcli.runs.csv_read import Value

DIGITS = 7  # of a rate, which is often close to 1
POINTS = 121  # of a curve
MOST_CURVES = 100
MOST_PROBLEMS = 200


TEXT = (
    "Theory starts from these facts of the loss on the training examples. A curvature is an "
    "eigenvalue of the Hessian."
)


class TheorySection(PageView):
    """What theory expects, beside what was measured."""

    name = "theory"
    title = "Theory"
    heading = "Theory against measurement"
    order = 40

    def content(self, run: PageRun) -> Content | None:
        """Return the facts of each problem and the chart, where theory says something."""
        if run.theory is None or not run.accounts:
            return None
        return Content(
            text=[TEXT],
            rows=problem_rows(run.theory)[:MOST_PROBLEMS],
            table="What theory starts from",
            selects={"compare": "Compare"},
            figure="Theory and measurement in numbers",
            data={
                "accounts": theory_content(run.source, run.accounts),
                "curves": theory_curves(run.source, run.theory),
            },
        )


def theory_content(source: MetricOfRun, told: Sequence[RateDiagnosis]) -> dict[str, Any]:
    """Return a list a column, an entry an account."""
    places = {setting.values: place for place, setting in enumerate(source.settings)}
    return {
        "setting": [places[account.setting.values] for account in told],
        "lr": [account.candidate.lr for account in told],
        "state": [account.state for account in told],
        "lost": [account.candidate.median == inf for account in told],
        **{name: [_plain(value(account)) for account in told] for name, value in COLUMNS.items()},
        "formula": [_formula(account) for account in told],
        "exact": [_is_exact(account) for account in told],
    }


def _plain(value: float | None) -> float | str | None:
    return None if value is None else plain(value, DIGITS)


def _limit(account: RateDiagnosis) -> float | None:
    expected = account.expected
    return expected.limit.lr if expected and expected.limit else None


def _floor(account: RateDiagnosis) -> float | None:
    expected = account.expected
    return expected.floor.excess if expected and expected.floor else None


COLUMNS: dict[str, Callable[[RateDiagnosis], float | None]] = {
    "limit": _limit,
    "rate": lambda account: account.expected.rate if account.expected else None,
    "measured_rate": lambda account: account.rate,
    "floor": _floor,
    "measured_floor": lambda account: account.excess,
}


def _formula(account: RateDiagnosis) -> str:
    expected = account.expected
    return limit_formula(expected.optimizer) if expected and expected.limit else ""


def _is_exact(account: RateDiagnosis) -> bool:
    """Return whether descent is known to diverge above the limit."""
    expected = account.expected
    return bool(expected and expected.limit and expected.limit.exact)


def theory_curves(source: MetricOfRun, theory: RunConstants) -> list[dict[str, Any]]:
    """Return theory's rate and floor of each setting over its learning rates, and those between.

    A curve is dense, and denser around the best rate: it may turn between two that were tried.
    """
    return list(
        islice(filter(None, (_curve(s, source, theory) for s in source.settings)), MOST_CURVES)
    )


def _curve(setting: Setting, source: MetricOfRun, theory: RunConstants) -> dict[str, Any] | None:
    names, tried = source.run.names, [cell.lr for cell in setting.candidates]
    expect = partial(expected_at, names, setting, theory)
    if len(tried) < 2 or tried[0] <= 0 or not _turns(expect(tried[0])):
        return None
    found = {lr: expect(lr) for lr in {*tried, *_between(tried[0], tried[-1])}}
    rates = {lr: one.rate for lr, one in found.items() if one and one.rate is not None}
    if rates:
        lrs = sorted(rates)
        best = lrs.index(min(lrs, key=rates.__getitem__))
        ends = lrs[max(0, best - 1)], lrs[min(best + 1, len(lrs) - 1)]
        found |= {lr: expect(lr) for lr in _between(*ends)}
    lrs = sorted(found)
    return {
        "setting": source.settings.index(setting),
        "lr": [plain(lr, DIGITS) for lr in lrs],
        "rate": [_plain(one.rate if (one := found[lr]) else None) for lr in lrs],
        "floor": [
            _plain(one.floor.excess if (one := found[lr]) and one.floor else None) for lr in lrs
        ],
    }


def _turns(expected: Expectation | None) -> bool:
    """Return whether theory says of a setting what changes with the learning rate."""
    return expected is not None and (expected.rate is not None or expected.floor is not None)


def _between(low: float, high: float) -> Iterator[float]:
    """Yield learning rates between two, by equal factors, both included."""
    for place in range(POINTS):
        yield low * (high / low) ** (place / (POINTS - 1))


def problem_rows(theory: RunConstants) -> list[dict[str, Value]]:
    """Return a row for each problem: what tells it from the others, and what theory starts from."""
    return [_problem(options, facts) for options, facts in theory.problems]


def _problem(options: Mapping[str, Value], facts: ProblemConstants) -> dict[str, Value]:
    curvature = facts.curvature
    return {
        "problem": " ".join(f"{k}={v}" for k, v in options.items()) or "all trials",
        "examples": facts.examples,
        "L, largest curvature": curvature.largest if curvature else None,
        "mu, smallest": curvature.smallest if curvature else None,
        "L / mu": condition_number(curvature) if curvature else None,
        "2 / L": 2 / curvature.largest if curvature and curvature.largest > 0 else None,
        "Hessian": ("constant" if curvature.exact else "bounded") if curvature else None,
        "lowest possible loss": facts.minimum,
    }
