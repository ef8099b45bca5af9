"""The JSON Schema of experiment files: never stricter than gdcli, and seldom laxer."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gdcli.catalog.catalog import OPTIMIZERS, PROBLEMS, SCHEDULES, WRAPPERS
from gdcli.errors import UserError
from gdcli.experiment.toml import dump, load, schema
from gdcli.fields import options_of
from tests.experiments import experiments, written

if TYPE_CHECKING:
    from gdcli.experiment.experiment import Experiment

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "experiments").glob("*.toml"))
SCHEMA = Draft202012Validator(schema())


def test_it_is_a_schema_and_the_committed_one_says_nothing_else() -> None:
    Draft202012Validator.check_schema(schema())
    command = [sys.executable, "-m", "gdcli", "schema"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == schema()
    kept = ROOT / "experiments" / "gdcli.schema.json"
    assert holds(json.loads(kept.read_text()), schema()), f"gdcli schema > {kept}"


def holds(kept: Any, now: Any) -> bool:
    """Return whether all that is kept is still so; a new file of gdcli's adds to what there is."""
    if isinstance(kept, dict) and isinstance(now, dict):
        return all(name in now and holds(value, now[name]) for name, value in kept.items())
    if isinstance(kept, list) and isinstance(now, list):
        return all(any(holds(item, other) for other in now) for item in kept)
    return bool(kept == now)


def test_what_is_kept_that_is_no_longer_so_is_found() -> None:
    now = {"enum": ["a", "b"], "p": {"minimum": 1}}
    assert holds({"enum": ["a"], "p": {}}, now)
    others: list[Any] = [{"enum": ["a", "c"]}, {"p": {"minimum": 2}}, {"q": {}}, {"enum": "a"}]
    for kept in others:
        assert not holds(kept, now)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_experiments_name_it_and_are_valid(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("#:schema ./gdcli.schema.json\n")
    SCHEMA.validate(tomllib.loads(text))


@given(experiments())
def test_whatever_gdcli_writes_is_valid(experiment: Experiment) -> None:
    SCHEMA.validate(tomllib.loads(dump(experiment)))


def test_it_knows_every_option_there_is() -> None:
    found = schema()["$defs"]
    for name in PROBLEMS.names():
        options = options_of(PROBLEMS.find(name, ""))
        assert {*found["problems"][name]["properties"]} == {"name", *options}
        assert {*found["vary"][name]["properties"]} == {*options, "epochs", "steps"}
    owners = {key.partition(".")[0] for key in found["rules"]["properties"]}
    assert owners <= {*OPTIMIZERS.names(), *WRAPPERS.names(), *SCHEDULES.names()}
    assert {"adam.beta2", "step.drops", "ema.decay"} <= {*found["rules"]["properties"]}


@pytest.mark.parametrize(
    ("optimizer", "valid"),
    [
        ("'adamw+cautious+ema'", True),
        ("'adam,adamw+ema'", True),
        ("['adam', 'adamw+ema']", True),
        ("'my_rule.py+ema'", True),
        ("['./my_rule.py+ema']", True),
        ("'adamw+emma'", False),
        ("'ema+adamw'", False),
        ("['adamw+']", False),
    ],
)
def test_it_knows_composed_optimizers(optimizer: str, *, valid: bool) -> None:
    text = f"problem.name = 'saddle'\n[grid]\noptimizer = {optimizer}\nvary.ema.decay = 0.5"
    assert SCHEMA.is_valid(tomllib.loads(text)) == valid


NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.floats(-2, 2),
    st.booleans(),
    st.sampled_from(
        ["0.1", " 2 ", "-1", "1e3", "x", "", "1:3", "0:1:0.5", "log:1:8:4", "1:", "1,2"]
    ),
)
VALUES = (
    NUMBERS | st.lists(NUMBERS, max_size=3) | st.sampled_from(["gd", "gd,sgd", ["sgd"], "adam"])
)
KEYS = {
    "problem": ["dim", "condition", "rotate", "start", "hidden", "data_dir", "colour", "instance"],
    "grid": ["lr", "batch-size", "batch_size", "seed", "method", "optimizer", "epochs", "steps",
             "tol", "order", "zip", "speed"],
    "vary": ["condition", "momentum.beta", "adam.beta_1", "step.drops", "hidden", "momentum"],
}  # fmt: skip
TABLES = {
    part: st.dictionaries(st.sampled_from(keys), VALUES, max_size=2) for part, keys in KEYS.items()
}


@settings(max_examples=300)
@given(st.sampled_from(["quadratic", "saddle", "mlp", "nothing"]), *TABLES.values())
def test_what_it_refuses_gdcli_refuses(
    name: str, problem: dict[str, Any], grid: dict[str, Any], vary: dict[str, Any]
) -> None:
    tables = {"problem": {**problem, "name": name}, "grid": {**grid, "vary": vary}}
    if not SCHEMA.is_valid(tables):
        with tempfile.TemporaryDirectory() as folder, pytest.raises(UserError):
            load(written(Path(folder), _toml(tables)))


def _toml(tables: dict[str, dict[str, Any]]) -> str:
    """Return tables as TOML, whose values but for tables are written as JSON's are."""
    vary = tables["grid"].pop("vary")
    parts = {**tables, "grid.vary": vary}
    return "\n".join(
        "\n".join([f"[{part}]", *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in table.items())])
        for part, table in parts.items()
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = 3\n[problem]\nname = 'saddle'",
        "problem = 3",
        "[problem]\nname = 3",
        "[problem]\nname = 'sadle'",
        "[problem]\nname = 'saddle'\ndim = 3",
        "[problem]\nname = 'saddle'\nstart = [1]",
        "[problem]\nname = 'quadratic'\ndim = 0",
        "[problem]\nname = 'quadratic'\ndim = true",
        "[problem]\nname = 'quadratic'\ncondition = 'x'",
        "[problem]\nname = 'mlp'\nactivation = 'rleu'",
        "[problem]\nname = 'saddle'\n[gird]",
        "[problem]\nname = 'saddle'\n[grid]\nlr = 0",
        "[problem]\nname = 'saddle'\n[grid]\nlr = []",
        "[problem]\nname = 'saddle'\n[grid]\nlr = [0.1, 0.1]",
        "[problem]\nname = 'saddle'\n[grid]\nlr = 'log:1:2'",
        "[problem]\nname = 'saddle'\n[grid]\nlr = 1979-05-27",
        "[problem]\nname = 'saddle'\n[grid]\nseed = [1.5]",
        "[problem]\nname = 'saddle'\n[grid]\nmethod = 'gd,sdg'",
        "[problem]\nname = 'saddle'\n[grid]\noptimizer = ['adm']",
        "[problem]\nname = 'saddle'\n[grid]\nepochs = 3\nsteps = 4",
        "[problem]\nname = 'saddle'\n[grid]\nzip = 3",
        "[problem]\nname = 'saddle'\n[grid]\nvary = 3",
        "[problem]\nname = 'saddle'\n[grid]\nvary.condition = [1, 2]",
        "[problem]\nname = 'saddle'\n[grid]\noptimizer = 'momentum'\nvary.momentum.beta = 2",
        "[problem]\nname = 'saddle'\n[grid]\noptimizer = 'momentum'\nvary.'momentum.bet' = 0.5",
    ],
)
def test_a_mistake_is_found_by_both(tmp_path: Path, text: str) -> None:
    assert not SCHEMA.is_valid(tomllib.loads(text))
    with pytest.raises(UserError):
        load(written(tmp_path, text))
