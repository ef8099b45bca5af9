"""`gdcli problems`, `optimizers`, `schedules` and `show`: what there is."""

from __future__ import annotations

import csv
import inspect
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
import torch

from gdcli.catalog.catalog import OPTIMIZERS, PROBLEMS, SCHEDULES, WRAPPERS, Catalogue
from gdcli.fields import options_of

if TYPE_CHECKING:
    from tests.cli.command_line import Shell

CATALOGUES: list[Catalogue[Any]] = [PROBLEMS, OPTIMIZERS, SCHEDULES]


def strict(text: str) -> Any:
    """Return JSON, without the nan and inf that Python would take."""

    def refuse(name: str) -> NoReturn:
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda c: c.folder)
def test_everything_is_listed_in_every_form(shell: Shell, catalogue: Catalogue[Any]) -> None:
    rows = [{"name": name, "summary": catalogue.summary(name)} for name in catalogue.names()]
    own = len(rows)
    if catalogue is OPTIMIZERS:
        rows += [{"name": f"RULE+{n}", "summary": WRAPPERS.summary(n)} for n in WRAPPERS.names()]
    assert all(row["summary"] for row in rows)
    assert shell(catalogue.folder, "--format", "json") == 0
    assert strict(shell.out) == rows
    assert shell(catalogue.folder, "--format", "csv") == 0
    assert list(csv.DictReader(io.StringIO(shell.out))) == rows
    assert shell(catalogue.folder) == 0
    lines = [line.split(maxsplit=1) for line in shell.out.splitlines()]
    table = [["name", "summary"], *([row["name"], row["summary"]] for row in rows)]
    assert lines[: own + 1] == table[: own + 1]
    if catalogue is OPTIMIZERS:
        assert shell.out.splitlines()[own + 2].endswith(" after a rule, such as adamw+ema:")
        assert lines[own + 5 :] == table[own + 1 :]
    else:
        assert len(lines) == own + 1
    assert shell(catalogue.folder, "--format", "md") == 0
    assert shell.out.splitlines()[2].startswith(f"| {rows[0]['name']} | ")


@pytest.mark.parametrize(
    ("catalogue", "name"),
    [(catalogue, name) for catalogue in CATALOGUES for name in catalogue.names()],
    ids=lambda value: value if isinstance(value, str) else value.folder,
)
def test_one_is_described_in_full(shell: Shell, catalogue: Catalogue[Any], name: str) -> None:
    options = options_of(catalogue.find(name, ""))
    assert shell(catalogue.folder, name, "--format", "json") == 0
    entry = strict(shell.out)
    assert (entry["name"], entry["summary"]) == (name, catalogue.summary(name))
    assert entry["description"]
    assert [row["summary"] for row in entry["options"]] == [o.summary for o in options.values()]
    for form in ("table", "md"):
        assert shell(catalogue.folder, name, "--format", form) == 0
        assert shell.out.startswith(f"{name}: {catalogue.summary(name)}\n\n")
        assert all(option.summary in shell.out for option in options.values())


@pytest.mark.parametrize("name", WRAPPERS.names())
def test_a_wrapper_is_described_in_full(shell: Shell, name: str) -> None:
    for typed in (name, f"RULE+{name}"):
        assert shell("optimizers", typed, "--format", "json") == 0
        entry = strict(shell.out)
        assert (entry["name"], entry["summary"]) == (name, WRAPPERS.summary(name))
        assert f"--optimizer adamw+{name}" in entry["description"]
        fields = options_of(WRAPPERS.find(name, ""))
        assert [row["option"] for row in entry["options"]] == [f"--vary {name}.{f}" for f in fields]


def test_a_composed_optimizer_is_described_by_its_parts(shell: Shell) -> None:
    assert shell("optimizers", "adamw+ema", "--format", "json") == 0
    entry = strict(shell.out)
    assert [row["option"] for row in entry["options"]] == [
        *("--weight-decay", "--clip-norm"),
        *("--vary adamw.beta1", "--vary adamw.beta2", "--vary adamw.eps", "--vary ema.decay"),
    ]
    assert entry["summary"] == f"{OPTIMIZERS.summary('adamw')}; {WRAPPERS.summary('ema')}"
    assert entry["description"].startswith("AdamW: Adam's direction plus ")
    assert "\n\nEma: " in entry["description"]


def test_an_option_is_listed_as_it_is_typed(shell: Shell) -> None:
    def rows(*arguments: str) -> dict[str, dict[str, str]]:
        assert shell(*arguments, "--format", "json") == 0
        return {row.pop("option"): row for row in strict(shell.out)["options"]}

    dim = rows("problems", "quadratic")["--dim"]
    assert (dim["type"], dim["range"], dim["default"]) == ("INTEGER", "at least 1", "2")
    momentum = rows("optimizers", "momentum")
    assert {"--weight-decay", "--clip-norm", "--vary momentum.beta"} == set(momentum)
    assert set(rows("schedules", "cosine")) == {"--vary cosine.final"}
    assert rows("problems", "quadratic")["--rotate"]["type"] == "true|false"


@pytest.mark.parametrize(
    ("name", "rate", "said"),
    [("adam", 0.001, "0.001"), ("torch:LBFGS", 1.0, "1"), ("vanilla", None, "that of the problem")],
)
def test_an_optimizer_says_its_learning_rate(
    shell: Shell, name: str, rate: float | None, said: str
) -> None:
    assert shell("optimizers", name) == 0
    assert f"\n\nWithout --lr, its learning rate is {said}.\n" in shell.out
    assert shell("optimizers", name, "--format", "json") == 0
    assert strict(shell.out)["default_lr"] == rate
    assert shell("problems", "quadratic", "--format", "json") == 0
    assert "default_lr" not in strict(shell.out)


COUPLED = "is part of the gradient: weight_decay * param is added to it."
DECOUPLED = "is decoupled: each step subtracts lr * weight_decay * param."


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("adam", f"Weight decay {COUPLED}"),
        ("adamw+ema", f"Weight decay {DECOUPLED}"),
        ("muon+sophia", f"Muon's weight decay {DECOUPLED}\nSophia's weight decay {DECOUPLED}"),
        ("shampoo", f"Weight decay {COUPLED}"),
        ("lamb", ""),  # its docstring says it
        ("torch:Adam", ""),
    ],
)
def test_an_optimizer_says_how_it_applies_weight_decay(shell: Shell, name: str, said: str) -> None:
    assert shell("optimizers", name) == 0
    lines = [line for line in shell.out.splitlines() if line.endswith((COUPLED, DECOUPLED))]
    assert "\n".join(lines) == said


def test_rules_with_weight_decay_of_their_own_say_how() -> None:
    rules = [OPTIMIZERS.find(name, "") for name in OPTIMIZERS.names()]
    own = [rule for rule in rules if rule.decays_itself]
    assert own
    assert all("decay" in (rule.__doc__ or "") for rule in own)


TORCH = [
    name
    for name, value in vars(torch.optim).items()
    if isinstance(value, type) and issubclass(value, torch.optim.Optimizer) and name != "Optimizer"
]


@pytest.mark.parametrize("name", TORCH)
def test_a_class_of_torch_is_described_in_full(shell: Shell, name: str) -> None:
    for form in ("table", "md", "csv"):
        assert shell("optimizers", f"torch:{name}", "--format", form) == 0
    assert shell("optimizers", f"torch:{name}", "--format", "json") == 0
    entry = strict(shell.out)
    assert entry["summary"] == f"torch.optim.{name}, one trial at a time"
    listed = {row["option"].rpartition(".")[2] for row in entry["options"]}
    given = inspect.signature(getattr(torch.optim, name)).parameters
    assert ("--weight-decay" in listed) == ("weight_decay" in given)
    numbers = {n for n in ("betas", "momentum", "history_size", "rho") if n in given}
    assert {n.replace("_", "-") for n in numbers} <= listed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("optimizers", "torch:Nope"), "gdcli optimizers: torch.optim has no class 'Nope'; give "),
        (("optimizers", "torch:adamw"), "did you mean 'torch:AdamW'?"),
        (("optimizers", "torch:"), "torch.optim has no class ''; give torch: and one of "),
        (("problems", "torch:Adam"), "gdcli problems: there is no problem 'torch:Adam'; see: "),
        (("schedules", "torch:StepLR"), "there is no schedule 'torch:StepLR'; see: "),
    ],
)
def test_what_torch_has_not_is_said(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    (line,) = shell.refuses(*arguments)
    assert said in line


def test_a_listing_goes_to_stdout_alone(shell: Shell) -> None:
    assert shell("problems", "--quiet", "--no-color") == 0
    assert not shell.err


def test_a_run_that_is_not_there_has_a_suggestion(shell: Shell) -> None:
    folder = shell.folder / "results" / "quick"
    folder.mkdir(parents=True)
    (folder / "summary.csv").touch()
    (line,) = shell.refuses("show", "quik")
    assert line == "'quik': there is no such run; did you mean 'quick'?"
    Path("empty").mkdir()
    (line,) = shell.refuses("show", "empty")
    assert line.startswith("'empty': the folder holds no run")
