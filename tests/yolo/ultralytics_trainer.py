"""Ultralytics' own trainer on a data set on disk, with its extras off, and what it did."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gdcli.problems.yolo26 import NAMES, draw_shapes

if TYPE_CHECKING:
    from pathlib import Path

    from gdcli.problem import Batch

OFF = {
    "nbs": 8,  # the batch size: gradients are not accumulated
    "warmup_epochs": 0,
    "weight_decay": 0.0,
    "lrf": 1.0,  # the learning rate stays
    "amp": False,
    **dict.fromkeys(("hsv_h", "hsv_s", "hsv_v", "translate", "scale", "fliplr", "mosaic"), 0.0),
    **dict.fromkeys(("erasing", "close_mosaic"), 0),
    **dict.fromkeys(("val", "save", "plots", "verbose"), False),
}
STEPS = 4  # of one epoch: after it the shares of the two heads in the loss change


class Enough(Exception):  # noqa: N818 -- the test's way to leave the trainer
    pass


@dataclass
class Steps:
    """What the trainer saw and did, step by step."""

    start: dict[str, torch.Tensor] = field(default_factory=dict)
    files: list[list[str]] = field(default_factory=list)
    images: list[torch.Tensor] = field(default_factory=list)
    names: tuple[str, ...] = ()  # of the parts of the loss, as it prints them
    losses: list[float] = field(default_factory=list)
    states: list[dict[str, torch.Tensor]] = field(default_factory=list)


def write_shapes(folder: Path, count: int, size: int = 64) -> Path:
    """Write shapes as a data set in YOLO's format; return its data.yaml."""
    import cv2

    for part, seed in (("train", 0), ("val", 1)):
        shapes = draw_shapes(np.random.default_rng(seed), count, size)
        for kind in ("images", "labels"):
            (folder / kind / part).mkdir(parents=True)
        for i in range(count):
            image = shapes["image"][i].transpose(1, 2, 0)[..., ::-1]
            cv2.imwrite(str(folder / "images" / part / f"{i:03d}.png"), image)
            text = "".join(f"{line}\n" for line in lines(shapes, i))
            (folder / "labels" / part / f"{i:03d}.txt").write_text(text)
    file = folder / "data.yaml"
    file.write_text(f"path: {folder}\ntrain: images/train\nval: images/val\nnames: {[*NAMES]}\n")
    return file


def lines(shapes: Batch, i: int) -> list[str]:
    """Return the objects of an image as a label file has them."""
    return [
        " ".join(map(repr, [int(kind), *box.tolist()]))
        for kind, box in zip(shapes["class"][i], shapes["box"][i], strict=True)
        if kind >= 0
    ]


def train(file: Path, folder: Path, **settings: Any) -> Steps:
    """Train one epoch; the clipping of the gradient's norm, at 10, cannot be turned off."""
    from ultralytics.models.yolo.detect import DetectionTrainer

    try:
        importlib.import_module("torchvision")
    except RuntimeError:  # one for CUDA beside a torch for the CPU; nothing here calls it
        sys.modules["torchvision"] = module_from_spec(ModuleSpec("torchvision", None))
    steps = Steps()

    class Trainer(DetectionTrainer):  # type: ignore[misc, unused-ignore]
        def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
            found: dict[str, Any] = super().preprocess_batch(batch)
            steps.files.append(found["im_file"])
            steps.images.append(found["img"].clone())
            return found

    def began(trainer: Any) -> None:
        steps.start = _copied(trainer.model)

    def stepped(trainer: Any) -> None:
        steps.names = trainer.loss_names
        steps.losses.append(float(trainer.loss))
        steps.states.append(_copied(trainer.model))
        if len(steps.states) == STEPS:
            raise Enough

    fixed = {"model": "yolo26n.yaml", "data": str(file), "epochs": 100, "imgsz": 64, "batch": 8}
    own = {"project": str(folder), "device": "cpu", "optimizer": "SGD", "workers": 0}
    trainer = Trainer(overrides={**fixed, **own, **OFF, **settings})
    trainer.add_callback("on_train_start", began)
    trainer.add_callback("on_train_batch_end", stepped)
    with pytest.raises(Enough):
        trainer.train()
    return steps


def _copied(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
