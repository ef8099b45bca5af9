"""Experiment files: written and read back, and every mistake with its line."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from gdcli.errors import UserError
from gdcli.experiment.grid import setting
from gdcli.experiment.toml import dump, load
from tests.experiments import experiments, written

if TYPE_CHECKING:
    from gdcli.experiment.experiment import Experiment


def mistakes(folder: Path, text: str, overrides: dict[str, str] | None = None) -> list[str]:
    file = written(folder, text)
    with pytest.raises(UserError) as caught:
        load(file, overrides)
    return [line.removeprefix(str(file)) for line in caught.value.lines]


@given(experiments())
def test_what_is_written_is_read_back(experiment: Experiment) -> None:
    with tempfile.TemporaryDirectory() as folder:
        again = load(written(Path(folder), dump(experiment)))
    assert again.hash == experiment.hash
    assert dump(again) == dump(experiment)


def test_a_file_may_be_written_in_many_ways(tmp_path: Path) -> None:
    ways = [
        '[grid]\noptimizer = "momentum"\nvary."momentum.beta" = [0.5, 0.9]',
        '[grid]\noptimizer = ["momentum"]\n[grid.vary]\nmomentum.beta = "0.5,0.9"',
        '[grid]\noptimizer = "momentum"\n[grid.vary.momentum]\nbeta = [0.5, 0.9]',
        '[grid]\noptimizer = "momentum"\nvary = { "momentum.beta" = [0.5, 0.9] }',
    ]
    hashes = {load(written(tmp_path, f'[problem]\nname = "saddle"\n{way}')).hash for way in ways}
    assert len(hashes) == 1


def test_a_file_may_say_what_it_is_about(tmp_path: Path) -> None:
    load(written(tmp_path, '[about]\ntitle = "A saddle"\n[problem]\nname = "saddle"'))


MISTAKES = """\
[problem]
name = "quadratic"
dimm = 3
condition = "x"

[grid]
"learning rate" = 1
lr = [0.1, 0.1]
seed = "0:2"
epoch = 3
optimizer = ["momentum", "adm"]
steps = true

zip = "lr,sed"

[grid.vary]
"noise" = [1, -1]
"momentum.bet" = 0.5
"""


def test_every_mistake_is_reported_with_its_line(tmp_path: Path) -> None:
    assert mistakes(tmp_path, MISTAKES) == [
        ":3: dimm: 'dimm' is not an option here; did you mean 'dim'?",
        ":4: condition: 'x' is not a number of at least 1; give a number of at least 1",
        ":7: learning rate: 'learning rate' is not an option here; did you mean 'lr'?",
        ":8: lr: 0.1 is given twice; give every value once",
        ":10: epoch: 'epoch' is not an option here; did you mean 'epochs'?",
        (
            ":12: steps: true is not an integer of at least 1 and at most 9007199254740991; "
            "give an integer of at least 1 and at most 9007199254740991"
        ),
        ":11: optimizer: there is no optimizer 'adm'; did you mean 'adam'?",
        ":17: noise: -1.0 is less than 0; give a number of at least 0",
        (
            ":18: momentum.bet: there is no setting 'momentum.bet' to vary; "
            "did you mean 'momentum.beta'?"
        ),
        ":14: zip: 'sed' is not an axis; did you mean 'seed'?",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": problem: the problem's name is missing"),
        ("x = 3\n[problem]\nname = 'saddle'", ":1: x: there is no table [x]"),
        ("[problem]\nname = 'saddle'\n[gird]", ":3: gird: there is no table [gird]; did you mean"),
        ("problem = 3", ":1: problem: 3 is not a table"),
        ("[problem]\nname = 3", ":2: problem: the problem's name is missing"),
        ("[problem]\nname = 'sadle'", ":2: problem: there is no problem 'sadle'; did you mean"),
        ("[problem]\nname = 'saddle'\n[grid]\nvary = 3", ":4: vary: 3 is not a table"),
        ("[problem]\nname = 'saddle'\n[grid]\nzip = 3", ":4: zip: 3 is not text"),
        ("[problem]\nname = 'saddle'\n[grid]\nlr = [nan]", ":4: lr: nan is not a number"),
        ("[problem]\nname = 'saddle'\n[grid]\nlr = 1979-05-27", ":4: lr: 1979-05-27 is not"),
        ("[problem]\nname = 'saddle'\n[grid]\nseed = [1.5]", ":4: seed: 1.5 is not an integer"),
        ("[problem]\nname = 'saddle'\n[grid]\nmethod = []", ":4: method: the list is empty"),
        (
            "[problem]\nname = 'saddle'\nlr = 1",
            ":3: lr: 'lr' is not an option here; write it under",
        ),
        (
            "[problem]\nname = 'saddle'\nspread = 1\n[grid]\nspread = 1",
            ":5: spread: 'spread' is no",
        ),
        (
            "[problem]\nname = 'saddle'\n[grid]\nseed = '0:10'\nlr = 'lin:1:2:99999'",
            ":3: grid: it has",
        ),
        ("[problem]\nname = saddle", ":2: invalid value; see https://toml.io"),
        ("[problem]\nname = 'a'\nname = 'b'", ":3: cannot overwrite a value"),
        ("[problem]\nname = 'a'\nx = [1,", ":3: "),
        ("[problem]\nx = " + "9" * 5000, ":2: exceeds"),
        ("x = " + "[" * 5000, ":1: "),
        (
            "[problem]\nname = 'quadratic'\ninstance = 'deepobs'\ndim = 3",
            ":4: dim: 3 has no effect",
        ),
    ],
    ids=range(21),
)
def test_a_mistake_is_explained(tmp_path: Path, text: str, said: str) -> None:
    (line,) = mistakes(tmp_path, text)
    assert line.startswith(said)
    assert ";" in line
    assert len(line) < 500


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.toml", None, "no such file"),
        ("latin.toml", b"\xff\xfe", "not UTF-8"),
        (".", None, "is a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load(file)
    assert caught.value.where.removesuffix(":1") == str(file)
    assert said in caught.value.what


def test_a_setting_replaces_that_of_the_file(tmp_path: Path) -> None:
    text = '[problem]\nname = "quadratic"\ndim = 3\n[grid]\nbatch_size = 4\nseed = [1, 2]\n'
    file = written(tmp_path, text + 'optimizer = "momentum"\nvary."momentum.beta" = [0.5]\n')
    overrides = {
        "dim": "5",
        "batch-size": "8,16",
        "grid.lr": "0.3",
        "zip": "lr,seed",
        "seed": "7",
        "momentum.beta": "0.6",
        "vary.condition": "2,3",
        "problem.noise": "0.5",
    }
    experiment = load(file, {**overrides, "method": "minibatch"})
    settings = {
        (t.batch_size, t.lr, t.seed, *(setting(t, n) for n in ("dim", "condition", "noise")))
        for t in experiment.grid.trials
    }
    assert settings == {(b, 0.3, 7, 5, c, 0.5) for b in (8, 16) for c in (2.0, 3.0)}
    assert {setting(t, "momentum.beta") for t in experiment.grid.trials} == {0.6}


def test_a_bad_setting_is_named_as_it_was_given(tmp_path: Path) -> None:
    text = '[problem]\nname = "quadratic"\n[grid]\nlr = 0\n'
    assert mistakes(tmp_path, text, {"lr": "x", "batch_size": "y", "dimm": "3"}) == [
        "--set dimm: 'dimm' is not an option here; did you mean 'dim'?",
        "--set lr: 'x' is not a number of more than 0; give a number of more than 0",
        "--set batch_size: 'y' is not an integer of at least 1; give an integer of at least 1",
    ]
