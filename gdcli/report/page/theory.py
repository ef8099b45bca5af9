"""What the page shows of theory: what is known of the problems, and each rate beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gdcli.analysis.diagnoses import Diagnoses
from gdcli.analysis.facts import Facts, Theory
from gdcli.analysis.rows import Value
from gdcli.analysis.theory import condition_number, limit_formula
from gdcli.analysis.why import Account, accounts
from gdcli.report.page.plain import plain
from gdcli.report.pictures.source import Source

DIGITS = 7  # of a rate, which is often close to 1


def theory_of(manifest: Mapping[str, Any]) -> Theory | None:
    """Return what a manifest says of theory; None where it says nothing."""
    return Theory(manifest) if manifest.get("theory") else None


def theory_content(source: Source, theory: Theory) -> dict[str, Any] | None:
    """Return a list a column, an entry a setting and learning rate of which theory says something.

    None where it says nothing of any.
    """
    cells = [(setting, cell) for setting in source.settings for cell in setting.cells]
    told = [
        account
        for account in accounts(source.folder, Diagnoses(source.run, theory), cells)
        if account.expected and any(_expected(account))
    ]
    if not told:
        return None
    places = {setting.values: place for place, setting in enumerate(source.settings)}
    return {
        "setting": [places[account.setting.values] for account in told],
        "lr": [account.cell.lr for account in told],
        "verdict": [_end(account) for account in told],
        **{name: [_plain(value(account)) for account in told] for name, value in COLUMNS.items()},
        "formula": [_formula(account) for account in told],
        "exact": [_is_exact(account) for account in told],
    }


def _end(account: Account) -> str:
    """Return the state, "diverged" where most seeds blew up."""
    return "diverged" if account.state == "blew up" else account.state


def _expected(account: Account) -> list[object]:
    expected = account.expected
    return [expected.limit, expected.rate, expected.floor] if expected else []


def _plain(value: float | None) -> float | str | None:
    return None if value is None else plain(value, DIGITS)


def _limit(account: Account) -> float | None:
    expected = account.expected
    return expected.limit.lr if expected and expected.limit else None


def _floor(account: Account) -> float | None:
    expected = account.expected
    return expected.floor.excess if expected and expected.floor else None


COLUMNS: dict[str, Callable[[Account], float | None]] = {
    "limit": _limit,
    "rate": lambda account: account.expected.rate if account.expected else None,
    "measured_rate": lambda account: account.rate,
    "floor": _floor,
    "measured_floor": lambda account: account.excess,
}


def _formula(account: Account) -> str:
    expected = account.expected
    return limit_formula(expected.optimizer) if expected and expected.limit else ""


def _is_exact(account: Account) -> bool:
    """Return whether descent is known to diverge above the limit."""
    expected = account.expected
    return bool(expected and expected.limit and expected.limit.exact)


def problem_rows(theory: Theory) -> list[dict[str, Value]]:
    """Return a row a problem: what tells it from the others, and what theory starts from."""
    return [_problem(options, facts) for options, facts in theory.problems]


def _problem(options: Mapping[str, Value], facts: Facts) -> dict[str, Value]:
    curvature = facts.curvature
    return {
        "problem": " ".join(f"{k}={v}" for k, v in options.items()) or "the run's",
        "examples": facts.examples,
        "L, largest curvature": curvature.largest if curvature else None,
        "mu, smallest": curvature.smallest if curvature else None,
        "L / mu": condition_number(curvature) if curvature else None,
        "2 / L": 2 / curvature.largest if curvature and curvature.largest > 0 else None,
        "Hessian": ("the same everywhere" if curvature.exact else "bounded") if curvature else None,
        "least loss": facts.minimum,
    }
