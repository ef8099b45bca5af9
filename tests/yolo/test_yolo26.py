"""YOLO26 as a problem: what it learns, what it leaves alone, and the promises of every problem."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch

from gdcli.engine.batch import BatchHooks, batches_of, loop_for, train_batch
from gdcli.engine.examples import examples_of
from gdcli.engine.families.family import starting_point
from gdcli.engine.hessian import _direction
from gdcli.engine.plan import plan_of
from gdcli.problems.yolo26 import PARTS, Yolo26, draw_shapes
from gdcli.runs.options import Silent
from gdcli.studies.landscape.surface import landscape
from gdcli.studies.options import Compute, View
from tests.engine.test_recorder_checkpoint import Memory, Stopped
from tests.grids import assert_agree, experiment, only, train

if TYPE_CHECKING:
    from gdcli.engine.recorder import BatchHistory
    from gdcli.problem import Batch

pytest.importorskip("ultralytics", reason="the extra `yolo` is not installed: make test-yolo")

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "yolo26-shapes.toml"
REFERENCE = Path(__file__).parent / "reference"
FEW = {"examples": "10"}
D = {"dtype": "float64"}
GRID = {"method": "minibatch", "batch_size": "4", "lr": "0.01", "optimizer": "adam"}
# Whatever looks up a name or a host in this process is an error that leaves a trace.
NO_NETWORK = """
import socket, sys
def refuse(*arguments, **options):
    open("network", "w").write(repr(arguments))
    raise OSError("no network here")
socket.getaddrinfo = socket.socket.connect = refuse
"""


def gdcli(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run gdcli with a home and a folder for temporary files of its own, and no network."""
    for name in ("home", "temporary", "site"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(NO_NETWORK)
    path = f"{folder / 'site'}{os.pathsep}{Path(__file__).parents[2]}"
    own = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "temporary"), "PYTHONPATH": path}
    own |= {"XDG_CONFIG_HOME": str(folder / "home"), "COLUMNS": "120"}
    return subprocess.run(
        [sys.executable, "-m", "gdcli", *arguments],
        cwd=folder,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_experiment_learns_shapes_and_leaves_no_trace(tmp_path: Path) -> None:
    done = gdcli(tmp_path, "sweep", str(EXPERIMENT), "--set", "lr=0.002", "--set", "epochs=10")
    assert done.returncode == 0, done.stderr
    assert "ultralytics" not in (done.stdout + done.stderr).lower()
    (run,) = (tmp_path / "results").iterdir()
    curves = pd.read_csv(run / "curves.csv")
    assert curves["test_map50"].iloc[0] == 0
    assert curves["test_map50"].iloc[-1] > 0.5
    for part in ("train", "test"):
        total = sum(curves[f"{part}_{name}"] for name in PARTS)
        np.testing.assert_allclose(total, curves[f"{part}_loss"], rtol=1e-5)
    assert not [*(tmp_path / "home").iterdir(), *(tmp_path / "temporary").iterdir()]
    assert not (tmp_path / "network").exists()


def test_the_committed_run_is_what_its_experiment_gives(tmp_path: Path) -> None:
    done = gdcli(tmp_path, "sweep", str(REFERENCE / "experiment.toml"), "--quiet")
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "results").iterdir()
    # The start has predictions on a kink, and rounding decides their side: from one processor to
    # another the numbers of the second step differ by 1e-7, in float64, and each step adds a digit.
    command = ("verify", str(run), "--against", str(REFERENCE), "--rtol", "1e-5")
    found = gdcli(tmp_path, *command)
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_run_is_estimated_made_and_verified_to_the_bit(tmp_path: Path) -> None:
    command = ["run", "yolo26", "--examples", "10", "--method", "minibatch", "--batch-size", "4"]
    command += ["--lr", "0.01,1e30", "--epochs", "1", "--name", "small"]
    dry = gdcli(tmp_path, *command, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert not (tmp_path / "results").exists()
    done = gdcli(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "results" / "small" / "summary.csv")
    assert summary["status"].tolist() == ["finished", "diverged"]
    found = gdcli(tmp_path, "verify", "results/small")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "2 trials: 2 byte for byte" in found.stdout


def test_its_landscape_has_the_running_statistics_of_the_end() -> None:
    named = experiment("yolo26", {"examples": "4"}, lr="0.01", steps="2", record="1")
    view = View(resolution=3, x_range=(-1, 1), y_range=(-1, 1))
    scene = landscape(named, view, Compute(device="cpu"), Silent)
    assert scene.losses[1, 1] == pytest.approx(scene.ways[0].losses[-1], rel=1e-5)
    assert len(set(scene.losses.ravel())) == 9
    assert "running statistics" in scene.plane.words


def test_in_float64_both_engines_agree_to_its_precision() -> None:
    grid = {"method": "gd", "lr": "0.001", "steps": "2", "record": "1"}
    fast, plain, single = (
        train("yolo26", {"examples": "4"}, **grid, **more)
        for more in (D, {**D, "engine": "reference"}, {})
    )
    assert_agree(plain, fast)
    starts = zip(only(fast).losses[:1], only(single).losses[:1], strict=True)
    assert [double == pytest.approx(one, rel=1e-5) for double, one in starts] == [True]
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("head", ["one2many", "one2one"])
def test_hessian_products_are_differences_of_the_gradient(
    monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    (trial,) = experiment("yolo26", {"examples": "2"}, lr="0.1", **D).grid.trials
    data = replace(examples_of(trial), test={})
    program = loop_for([trial], data, plan_of(trial, 2), "cpu").program
    hold_the_targets(monkeypatch)
    start = starting_point(trial.problem, data, 0)
    # The start has predictions on a kink: their distances are whole, as are those of the boxes.
    shapes = {name: value.shape for name, value in start.items()}
    off, way = (_direction(trial.problem, seed, shapes) for seed in (1, 0))
    # The one-to-one head is given features that it does not train: they are held constant, too.
    own = {n for n in start if ("one2one" in n) == (head == "one2one")}
    way = {n: a if n in own else 0 * a for n, a in way.items()}
    points = [
        program.start([{n: a + 0.02 * off[n] + step * way[n] for n, a in start.items()}])
        for step in (0.0, 1e-6, -1e-6)
    ]
    there, back = (program.evaluate(point).gradient for point in points[1:])
    found = program.hessian_product(points[0], program.start([way]))
    vectors = program.flatten({n: (there[n] - back[n]) / 2e-6 for n in own})
    gap = program.flatten({n: found[n] for n in own}) - vectors
    assert 0 < gap.norm() < 1e-5 * vectors.norm()


def hold_the_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the loss held constant what its gradient takes for constant.

    That is which prediction is to find which object, how sure it should be of it, and the weight of
    the aspect ratio in CIoU, which GIoU has not.
    """
    from ultralytics.utils import loss, metrics, tal

    assigned = tal.TaskAlignedAssigner.forward
    held: dict[int, Any] = {}

    def first(self: Any, *args: Any) -> Any:
        return held.setdefault(self.topk, assigned(self, *args))

    def giou(*args: Any, **options: Any) -> Any:
        return metrics.bbox_iou(*args, xywh=options["xywh"], GIoU=True)

    monkeypatch.setattr(tal.TaskAlignedAssigner, "forward", first)
    monkeypatch.setattr(loss, "bbox_iou", giou)


def test_it_goes_on_from_a_checkpoint_with_the_same_bits() -> None:
    (batch,) = batches_of(experiment("yolo26", FEW, epochs="2", **GRID).grid.cohorts)
    data = examples_of(batch.trials[0])

    def run(memory: Memory) -> BatchHistory:
        return train_batch(batch, data, "cpu", lambda _: None, BatchHooks(memory))[1]

    expected, memory = run(Memory()), Memory(stop=2)
    with pytest.raises(Stopped):
        run(memory)
    assert same(run(Memory(memory.held)), expected)


def same(one: BatchHistory, other: BatchHistory) -> bool:
    """Return whether the curves of one trial have the same bits."""
    bits = [{name: curve.tobytes() for name, curve in c.values.items()} for c in (one, other)]  # noqa: PD011 -- no data frame
    return one.steps == other.steps and bits[0] == bits[1]


def test_both_engines_agree() -> None:
    grid = {**GRID, "lr": "0.0001", "steps": "2", "record": "1"}
    assert_agree(train("yolo26", FEW, engine="reference", **grid), train("yolo26", FEW, **grid))


def test_full_batches_and_single_examples_train_too() -> None:
    for method in ("gd", "sgd"):
        run = only(train("yolo26", FEW, method=method, lr="0.01", steps="3", record="1"))
        assert np.isfinite(run.losses).all()
        assert len(set(run.losses)) == 4


def test_a_start_follows_from_its_seed_alone() -> None:
    problem = Yolo26(examples=2)
    data = problem.load(np.random.default_rng(0))
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again, other = (starting_point(problem, data, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    same = {name: np.array_equal(first[name], again[name]) for name in first}
    assert all(same.values())
    assert not np.array_equal(first["model.0.conv.weight"], other["model.0.conv.weight"])


class Predicting(torch.nn.Module):
    """A detector whose predictions are known."""

    def __init__(self, found: torch.Tensor) -> None:
        super().__init__()
        self.weight, self.found = torch.nn.Parameter(torch.zeros(1)), [found[:64], found[64:]]
        self.model = [SimpleNamespace(training=True)]

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, None]:
        assert images.max() <= 1
        return self.found.pop(0), None


def predictions(examples: Batch, rng: np.random.Generator) -> torch.Tensor:
    """Return 8 predictions an image, near to its objects, now and then of another class."""
    found = torch.zeros(len(examples["image"]), 8, 6)
    for i, (classes, boxes) in enumerate(zip(examples["class"], examples["box"], strict=True)):
        for j in range(8):
            k = rng.integers(int((classes >= 0).sum()))
            x, y, w, h = 64 * boxes[k].double().numpy() + rng.normal(0, 3, 4)
            kind = classes[k] if rng.random() < 0.8 else rng.integers(3)
            found[i, j] = torch.tensor(
                [x - w / 2, y - h / 2, x + w / 2, y + h / 2, rng.uniform(0, 1), float(kind)]
            )
    order = found[..., 4].argsort(1, descending=True)[..., None].expand_as(found)
    return found.gather(1, order)


def test_the_precision_is_the_one_of_ultralytics_own_validation() -> None:
    from ultralytics.models.yolo.detect import DetectionValidator
    from ultralytics.utils.metrics import DetMetrics

    rng = np.random.default_rng(0)
    examples = {name: torch.tensor(a) for name, a in draw_shapes(rng, 90, 64).items()}
    found = predictions(examples, rng)
    precision = Yolo26().measure(Predicting(found), examples)["test_map50"]

    validator = DetectionValidator.__new__(DetectionValidator)
    validator.iouv, validator.niou = torch.linspace(0.5, 0.95, 10), 10
    metrics = DetMetrics({0: "red", 1: "green", 2: "blue"})
    for i, rows in enumerate(found):
        there = examples["class"][i] >= 0
        x, y, w, h = (64 * examples["box"][i][there]).unbind(1)
        corners = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1)
        truth = {"cls": examples["class"][i][there], "bboxes": corners}
        held = {"cls": rows[:, 5], "bboxes": rows[:, :4]}
        kinds = {"target_cls": truth["cls"].numpy(), "target_img": np.unique(truth["cls"])}
        sure = {"conf": rows[:, 4].numpy(), "pred_cls": rows[:, 5].numpy(), "im_name": str(i)}
        metrics.update_stats({**validator._process_batch(held, truth), **kinds, **sure})
    metrics.process(plot=False)
    assert 0.2 < precision < 0.95
    assert precision == pytest.approx(metrics.box.map50, rel=1e-12)
