"""Weights that leave the tool: those of the recorded curve, which other programs take."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from runpy import run_path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression

from gdcli.engine.examples import examples_of
from gdcli.engine.sampling import SETTLING
from gdcli.experiment.toml import load
from tests.cli.command_line import Shell, gdcli

if TYPE_CHECKING:
    from gdcli.experiment.grid import Trial

NET = '''"""Two convolutions with batch norm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from gdcli.problem import Data, Network


class Block(nn.Module):
    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outer)
        self.file = nn.Parameter(0.1 * np.ones(1)[0] * __import__("torch").ones(outer, 1, 1))

    def forward(self, x):
        return (self.norm(self.conv(x)) + self.file).relu()


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = Block(1, 3), Block(3, 4)
        self.drop, self.head = nn.Dropout(0.1), nn.Linear(4 * 36, 2)
        self.file = nn.Parameter(__import__("torch").zeros(2))

    def forward(self, x):
        return self.head(self.drop(self.two(self.one(x)).flatten(1))) + self.file


@dataclass(frozen=True)
class MyNet(Network):
    """Squares that are light above or below."""

    def load(self, rng: np.random.Generator) -> Data:
        y = rng.integers(0, 2, 70)
        x = rng.standard_normal((70, 1, 6, 6)) + 0.4 * (2 * y[:, None, None, None] - 1)
        return Data({"x": x[:50], "y": y[:50]}, {"x": x[50:], "y": y[50:]})

    def module(self, data: Data) -> nn.Module:
        return Small()
'''
POWERS = '''"""A line of powers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gdcli.problem import Data
from gdcli.problems.linear_regression import LinearRegression


@dataclass(frozen=True)
class Powers(LinearRegression):
    """Least squares of powers of the features."""

    def load(self, rng: np.random.Generator) -> Data:
        found = super().load(rng)
        both = ({**p, "x": np.hstack([p["x"], p["x"] ** 2])} for p in (found.train, found.test))
        return Data(*both)
'''


def table(rows: int = 150) -> pd.DataFrame:
    """Return a table whose columns have units of their own."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"age": rng.normal(40, 9, rows), "income": rng.normal(3e4, 5e3, rows)})
    frame["town"] = rng.choice(["=Ulm", "Bonn", "Jena, east"], rows)
    shift = frame.town.map({"=Ulm": 0.0, "Bonn": 2.0, "Jena, east": -1.0})
    z = (frame.age - 40) / 9 + (frame.income - 3e4) / 5e3 + shift
    frame["spent"] = 100 + 12 * z + rng.normal(0, 3, rows)
    frame["buys"] = np.where(z + rng.logistic(0, 1, rows) > 0, "yes", "no")
    frame["kind"] = pd.cut(z + rng.normal(0, 1, rows), 3, labels=["low", "+mid", "high"]).astype(
        str
    )
    return frame


def ran(shell: Shell, *arguments: str, name: str = "a") -> pd.DataFrame:
    """Run an experiment; return its summary."""
    assert shell("run", *arguments, "--name", name, "--quiet") == 0, shell.err
    return pd.read_csv(f"results/{name}/summary.csv", dtype={"trial": str})


def exported(shell: Shell, to: str, trial: str, file: str, *more: str) -> str:
    """Export the weights of a trial of run a; return what was told."""
    assert shell("export", "a", "--to", to, "--trial", trial, "-o", file, *more) == 0, shell.err
    assert shell.errors[-1] == f"they are in {file}"
    return shell.err


def trial_of(row: Any) -> Trial:
    trials = load(Path("results/a/experiment.toml")).grid.trials
    return next(trial for trial in trials if trial.id == row.trial)


def loss_of(module: torch.nn.Module, part: dict[str, Any]) -> float:
    """Return the cross-entropy of a module in evaluation, which reads the running statistics."""
    module.eval()
    x, y = torch.from_numpy(part["x"]).float(), torch.from_numpy(part["y"])
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(module(x), y))


@pytest.mark.parametrize(
    "how",
    [
        ("--method", "minibatch", "--batch-size", "16", "--lr", "0.1,0.05"),
        ("--optimizer", "adam", "--lr", "0.02", "--seed", "0,1"),
        ("--optimizer", "torch:Adamax", "--lr", "0.02"),
        ("--method", "minibatch", "--lr", "0.05", "--engine", "reference"),
        ("--method", "minibatch", "--lr", "0.2", "--target-loss", "0.6"),
        ("--method", "minibatch", "--optimizer", "muon+adamw+ema", "--lr", "0.02", "--seed", "0,1"),
    ],
)
def test_a_users_module_takes_the_state_dict_and_has_the_recorded_loss(
    shell: Shell, how: tuple[str, ...]
) -> None:
    shell.write("my_net.py", NET)
    row = ran(shell, "./my_net.py", "--epochs", "3", *how).iloc[-1]
    said = exported(shell, "torch", row.trial, "net.pt", "--trust")
    assert f"trial {row.trial} was trained again, and its curve is the recorded one, byte" in said
    assert f"after step {row.steps}, with a training loss of {row.final_train_loss:.6g}\n" in said
    problem = run_path("my_net.py")["MyNet"]()
    data = problem.load(np.random.default_rng(0))
    module = problem.module(data)
    state = torch.load("net.pt", weights_only=True)
    module.load_state_dict(state, strict=True)
    held = examples_of(trial_of(row))
    assert loss_of(module, held.train) == pytest.approx(row.final_train_loss, rel=1e-5)
    assert loss_of(module, held.test) == pytest.approx(row.final_test_loss, rel=1e-5)
    # The statistics of an averaged point are made anew, from as many batches whatever the steps.
    batches = SETTLING if "muon+adamw+ema" in how else row.steps
    assert state["one.norm.num_batches_tracked"] == batches
    assert state["one.norm.num_batches_tracked"].dtype == torch.int64
    exported(shell, "npz", row.trial, "net.npz", "--trust")
    with np.load("net.npz", allow_pickle=False) as arrays:
        assert {*arrays.files} == {*state}  # one called file among them
        for name in arrays.files:
            np.testing.assert_array_equal(arrays[name], state[name].numpy())


@pytest.mark.parametrize(
    ("problem", "module"),
    [
        (("mlp", "--dataset", "iris", "--hidden", "5,4", "--quantize", "qat"), None),
        (
            ("mlp", "--dataset", "iris", "--hidden", "5,4"),
            torch.nn.Sequential(
                *(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 4)),
                *(torch.nn.ReLU(), torch.nn.Linear(4, 3)),
            ),
        ),
        (
            ("cnn", "--channels", "2", "--examples", "50"),
            torch.nn.Sequential(
                *(torch.nn.Conv2d(1, 2, 3, padding="same"), torch.nn.ReLU()),
                *(torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(32, 10)),
            ),
        ),
    ],
)
def test_built_in_networks_are_plain_sequences(
    shell: Shell, problem: tuple[str, ...], module: torch.nn.Sequential | None
) -> None:
    row = ran(shell, *problem, "--method", "minibatch", "--epochs", "2").iloc[0]
    exported(shell, "torch", row.trial, "net.pt")
    state = torch.load("net.pt", weights_only=True)
    if module is None:
        assert [*state] == [f"{n}.{p}" for n in (0, 2, 4) for p in ("weight", "bias")]
        return
    module.load_state_dict(state, strict=True)
    train = examples_of(trial_of(row)).train
    assert loss_of(module, train) == pytest.approx(row.final_train_loss, rel=1e-5)


@pytest.mark.parametrize(
    "problem",
    [
        ("quadratic", "--condition", "10", "--optimizer", "vanilla,adam"),
        ("matrix-factorization",),
        ("char-lm", "--examples", "100", "--method", "minibatch"),
        ("svm", "--method", "sgd"),
        ("linear-regression", "--lr", "0.1,0.2", "--seed", "0:3"),
        ("linear-regression", "--optimizer", "lbfgs,vanilla+average", "--lr", "0.1,1"),
    ],
)
def test_a_trial_of_any_program_is_the_same_when_it_is_alone(
    shell: Shell, problem: tuple[str, ...]
) -> None:
    row = ran(shell, *problem, "--epochs", "2").iloc[-1]
    assert "byte for byte" in exported(shell, "npz", row.trial, "w.npz")


def coefficients(file: str = "c.csv") -> pd.DataFrame:
    return pd.read_csv(file)


def test_coefficients_are_those_of_least_squares_on_the_raw_columns(shell: Shell) -> None:
    frame = table()
    frame.to_csv("t.csv", index=False)
    read = ("--data", "t.csv", "--target", "spent", "--drop", "buys,kind", "--categorical", "town")
    for scale in ("standard", "minmax"):
        how = ("--scale", scale, "--optimizer", "nesterov", "--lr", "0.2", "--test-fraction", "0")
        row = ran(shell, "linear-regression", *read, *how, "--epochs", "4000", name="a").iloc[0]
        exported(shell, "coefficients", row.trial, "c.csv", "--overwrite")
        found = coefficients()
        town = ["town==Ulm", "town=Bonn", "town=Jena, east"]
        assert found.feature.tolist() == ["(intercept)", "age", "income", *town]
        x = np.column_stack(
            [frame.age, frame.income, *(frame.town == t[5:] for t in town)],
        ).astype(float)
        oracle = LinearRegression().fit(x, frame.spent)
        own = found.coefficient.to_numpy()
        np.testing.assert_allclose(own[1:3], oracle.coef_[:2], rtol=1e-6)
        np.testing.assert_allclose(own[0] + x @ own[1:], oracle.predict(x), rtol=1e-7)
        shutil.rmtree("results/a")


def test_coefficients_of_two_classes_are_those_of_logistic_regression(shell: Shell) -> None:
    frame = table()
    frame.to_csv("t.csv.gz", index=False)
    read = ("--data", "t.csv.gz", "--target", "buys", "--drop", "spent,kind,town", "--l2", "0")
    how = ("--lr", "2", "--epochs", "3000", "--test-fraction", "0")
    row = ran(shell, "logistic-regression", *read, *how).iloc[0]
    exported(shell, "coefficients", row.trial, "c.csv")
    found = coefficients()
    assert set(found["class"]) == {"yes"}
    x = (frame[["age", "income"]] - [40, 3e4]) / [9, 5e3]  # scikit-learn's solver wants it so
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(x, frame.buys)
    slopes = oracle.coef_[0] / [9, 5e3]
    own = found.coefficient.to_numpy()
    np.testing.assert_allclose(own[1:], slopes, rtol=1e-5)
    np.testing.assert_allclose(own[0], oracle.intercept_[0] - slopes @ [40, 3e4], rtol=1e-5)


def test_of_several_classes_each_has_its_rows_and_predicts_as_the_run_does(shell: Shell) -> None:
    frame = table()
    frame.to_csv("t.csv", index=False)
    read = ("--data", "t.csv", "--target", "kind", "--drop", "spent,buys", "--categorical", "auto")
    row = ran(shell, "softmax-regression", *read, "--test-fraction", "0", "--lr", "0.5").iloc[0]
    exported(shell, "coefficients", row.trial, "c.csv")
    found = coefficients()
    names = ["'+mid", "high", "low"]  # no spreadsheet runs the first
    assert found["class"].drop_duplicates().tolist() == names
    x = np.column_stack(
        [frame.age, frame.income, *(frame.town == t for t in ("=Ulm", "Bonn", "Jena, east"))]
    ).astype(float)
    own = found.coefficient.to_numpy().reshape(3, 6)
    z = own[:, 0] + x @ own[:, 1:].T
    z -= z.max(1, keepdims=True)
    likely = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    y = frame.kind.map({"+mid": 0, "high": 1, "low": 2}).to_numpy()
    exported(shell, "npz", row.trial, "w.npz")
    with np.load("w.npz") as arrays:
        penalty = 0.5 * 1e-3 * (arrays["weight"] ** 2).sum()
    loss = -np.log(likely[np.arange(len(y)), y]).mean() + penalty
    assert loss == pytest.approx(row.final_train_loss, rel=1e-9)
    assert (likely.argmax(1) == y).mean() == pytest.approx(row.final_train_accuracy)


def test_without_a_file_coefficients_are_printed(shell: Shell) -> None:
    (trial,) = ran(
        shell, "linear-regression", "--epochs", "2", "--scale", "none", "--lr", "1e-6"
    ).trial
    assert shell("export", "a", "--to", "coefficients", "--trial", trial) == 0
    assert shell.out.splitlines()[:3:2] == ["feature,coefficient", shell.out.splitlines()[2]]
    assert shell.out.splitlines()[2].startswith("age,")
    assert len(shell.errors) == 1


def test_a_streamed_file_has_the_same_coefficients(shell: Shell) -> None:
    table().drop(columns=["town", "kind", "buys"]).to_csv("t.csv", index=False)
    both = []
    for name, how in (("a", ()), ("b", ("--stream",))):
        args = ("--data", "t.csv", "--target", "spent", "--lr", "0.1", "--epochs", "20", *how)
        (trial,) = ran(shell, "linear-regression", *args, name=name).trial
        arguments = ("--to", "coefficients", "--trial", trial, "-o", f"{name}.csv")
        assert shell("export", name, *arguments) == 0
        both.append(coefficients(f"{name}.csv"))
    assert both[0].feature.tolist() == both[1].feature.tolist()
    np.testing.assert_allclose(both[0].coefficient, both[1].coefficient, rtol=1e-9)


def test_features_that_are_no_columns_are_refused(shell: Shell) -> None:
    shell.write("powers.py", POWERS)
    (trial,) = ran(shell, "./powers.py", "--epochs", "2", "--lr", "0.01").trial
    to = ("export", "a", "--to", "coefficients", "--trust", "--trial", trial)
    (line,) = shell.refuses(*to, "-o", "c.csv")
    assert line.startswith("--to: the features of powers are not known to be a table's columns; ")


def test_code_of_the_folder_is_run_only_if_it_is_trusted(shell: Shell) -> None:
    shell.write("my_net.py", NET)
    (trial,) = ran(shell, "./my_net.py", "--epochs", "1", "--lr", "0.1").trial
    to = ("export", "a", "--to", "npz", "--trial", trial, "-o", "w.npz")
    refused = gdcli(*to, folder=shell.folder)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--trust" in refused.stderr
    shell.write("my_net.py", NET + "\n# changed\n")
    assert gdcli(*to, "--trust", folder=shell.folder).returncode == 2
    assert not Path("w.npz").exists()


@pytest.mark.parametrize(
    ("problem", "to", "said"),
    [
        ("quadratic", "torch", "--to: torch is of networks, and quadratic is none; give --to npz"),
        ("mlp", "coefficients", "--to: coefficients are of linear models, and mlp is none; "),
        ("linear-regression", "npz", r"--output: 'w\.txt' does not end in \.npz; "),
        ("linear-regression", "torch", r"--output: 'w\.txt' does not end in \.pt or \.pth; "),
    ],
)
def test_what_does_not_fit_is_refused(shell: Shell, problem: str, to: str, said: str) -> None:
    (trial,) = ran(shell, problem, "--epochs", "1").trial
    endings = {"torch": "w.pt", "coefficients": "w.csv"}
    file = "w.txt" if "--output" in said else endings[to]
    (line,) = shell.refuses("export", "a", "--to", to, "--trial", trial, "-o", file)
    assert re.match(said, line)


def test_a_trial_without_trained_weights_is_refused(shell: Shell) -> None:
    (trial,) = ran(shell, "quadratic", "--lr", "10").trial
    (line,) = shell.refuses("export", "a", "--to", "npz", "--trial", trial, "-o", "w.npz")
    said = f"--trial: trial {trial} diverged: it has no trained weights; choose one that finished"
    assert line == said


def test_a_run_that_is_not_finished_has_no_weights_yet(shell: Shell) -> None:
    (trial,) = ran(shell, "quadratic").trial
    Path("results/a/manifest.json").unlink()
    (line,) = shell.refuses("export", "a", "--to", "npz", "--trial", trial, "-o", "w.npz")
    assert line.endswith("give its command again to continue it, or gdcli merge its shards")


def test_a_file_is_replaced_only_when_asked(shell: Shell) -> None:
    (trial,) = ran(shell, "quadratic").trial
    exported(shell, "npz", trial, "w.npz")
    first = Path("w.npz").read_bytes()
    (line,) = shell.refuses("export", "a", "--to", "npz", "--trial", trial, "-o", "w.npz")
    assert line.startswith("--output: 'w.npz' is there already; ")
    exported(shell, "npz", trial, "w.npz", "--overwrite")
    assert Path("w.npz").read_bytes() == first


def test_another_curve_than_the_recorded_one_writes_nothing(shell: Shell) -> None:
    (trial,) = ran(shell, "quadratic", "--epochs", "3").trial
    folder = Path("results/a")
    curves = pd.read_csv(folder / "curves.csv", dtype=str, keep_default_na=False)
    curves.loc[curves.index[-1], "train_loss"] = "0.125"
    curves.to_csv(folder / "curves.csv", index=False, lineterminator="\n")
    content = json.loads((folder / "manifest.json").read_text())
    held = (folder / "curves.csv").read_bytes()
    content["files"]["curves.csv"] = {
        "bytes": len(held),
        "sha256": hashlib.sha256(held).hexdigest(),
    }
    (folder / "manifest.json").write_text(json.dumps(content))
    assert shell("export", "a", "--to", "npz", "--trial", trial, "-o", "w.npz") == 1
    assert "trained again, its curve is not the recorded one: curves.csv: trial " in shell.err
    assert not Path("w.npz").exists()
    content["fingerprint"]["numpy"] = "1.0"  # elsewhere the losses must be close
    (folder / "manifest.json").write_text(json.dumps(content))
    assert shell("export", "a", "--to", "npz", "--trial", trial, "-o", "w.npz") == 1
    assert "trained again here (numpy was 1.0 and is " in shell.err


def test_elsewhere_the_losses_are_close(shell: Shell) -> None:
    (trial,) = ran(shell, "mlp", "--dataset", "iris", "--method", "sgd", "--epochs", "3").trial
    file = Path("results/a/manifest.json")
    content = json.loads(file.read_text())
    content["fingerprint"]["numpy"] = "1.0"
    file.write_text(json.dumps(content))
    assert "its curve is the recorded one, byte for byte" in exported(shell, "npz", trial, "w.npz")


def test_data_that_were_changed_are_told(shell: Shell) -> None:
    frame = table().drop(columns=["town", "kind", "buys"])
    frame.to_csv("t.csv", index=False)
    (trial,) = ran(shell, "linear-regression", "--data", "t.csv", "--target", "spent").trial
    frame.assign(age=frame.age.round()).to_csv("t.csv", index=False)
    to = ("export", "a", "--to", "npz", "--trial", trial, "-o", "w.npz")
    refused = gdcli(*to, folder=shell.folder)  # a process that has not read them yet
    assert refused.returncode == 2
    assert "the data are not those that the run was trained on; " in refused.stderr
    assert not Path("w.npz").exists()


def test_the_only_trial_need_not_be_named(shell: Shell) -> None:
    only = ran(shell, "linear-regression", "--epochs", "2")["trial"][0]
    assert shell("export", "a", "--to", "coefficients", "-o", "one.csv") == 0
    exported(shell, "coefficients", only, "named.csv")
    assert Path("one.csv").read_bytes() == Path("named.csv").read_bytes()
    ran(shell, "linear-regression", "--epochs", "2", "--lr", "0.1,0.2", name="b")
    (line,) = shell.refuses("export", "b", "--to", "coefficients")
    assert line.startswith("--trial: coefficients takes one trial, and the run has 2; give one id")


def test_the_point_that_a_rule_hands_out_is_exported(shell: Shell) -> None:
    how = ("--dataset", "diabetes", "--optimizer", "vanilla+average", "--lr", "0.1")
    row = ran(shell, "linear-regression", *how, "--epochs", "20").iloc[0]
    exported(shell, "npz", row.trial, "w.npz")
    held, train = np.load("w.npz"), examples_of(trial_of(row)).train
    error = np.asarray(train["x"]) @ held["weight"] + held["bias"] - np.asarray(train["y"])
    loss = 0.5 * float((error**2).mean())
    assert loss == pytest.approx(row.final_train_loss, rel=1e-6)
    assert row.final_raw_train_loss < 0.9 * loss  # the parameters themselves are further on
