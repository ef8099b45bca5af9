"""Data sets in YOLO's format: read as Ultralytics reads them, or refused in one line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from gdcli.datasets.yolo import read_yolo
from gdcli.errors import UserError
from tests.yolo.ultralytics_trainer import write_shapes

cv2 = pytest.importorskip("cv2", reason="the extra `yolo` is not installed: make test-yolo")
pytest.importorskip("yaml", reason="the extra `yolo` is not installed: make test-yolo")

SIZES = [(100, 60), (37, 81), (64, 64), (20, 64), (640, 12)]


def write(
    folder: Path, label: str = "0 0.5 0.5 0.2 0.4\n", said: str = "", name: str = "a"
) -> Path:
    """Write a data set of one image; return its data.yaml."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "images" / f"{name}.png"), pixels)
    (folder / "labels" / f"{name}.txt").write_text(label)
    file = folder / "data.yaml"
    file.write_text(said or "train: images\nval: images\nnames: [thing, other]\n")
    return file


def test_images_and_boxes_are_those_that_ultralytics_reads(tmp_path: Path) -> None:
    from ultralytics.cfg import get_cfg
    from ultralytics.data import build_yolo_dataset

    rng = np.random.default_rng(0)
    file = write(tmp_path)
    for i, size in enumerate(SIZES):
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"b{i}.png"), pixels)
        # One without a file of boxes is an image of nothing.
        if i:
            lines = "1 0.3 0.6 0.25 0.5\n0 0.75 0.5 0.5 1\n"
            (tmp_path / "labels" / f"b{i}.txt").write_text(lines)
    found = read_yolo(file, 64, None).train
    settings = {"imgsz": 64, "rect": False, "task": "detect", "workers": 0}
    data = {"nc": 2, "names": {0: "thing", 1: "other"}, "channels": 3}
    theirs = build_yolo_dataset(
        get_cfg(overrides=settings), str(tmp_path / "images"), 1, data, mode="val"
    )
    assert len(theirs) == len(found["image"]) == 1 + len(SIZES)
    for i in range(len(theirs)):
        sample = theirs[i]
        np.testing.assert_array_equal(found["image"][i], sample["img"].numpy())
        there = found["class"][i] >= 0
        np.testing.assert_array_equal(found["class"][i][there], sample["cls"].flatten().numpy())
        np.testing.assert_allclose(found["box"][i][there], sample["bboxes"].numpy(), atol=1e-6)


def test_the_first_images_are_used_and_all_classes_known(tmp_path: Path) -> None:
    data = read_yolo(write_shapes(tmp_path, 5), 32, 3)
    assert (len(data.train["image"]), len(data.test["image"])) == (3, 5)
    assert len(data.constants["classes"]) == 3


def test_a_list_of_images_and_a_set_without_validation(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "few.txt").write_text("images/a.png\n")
    file = write(tmp_path, said="train: few.txt\nnc: 2\n")
    data = read_yolo(file, 64, None)
    assert data.train["class"].tolist() == [[0]]
    assert data.test == {}


WRONG_LABELS = {
    "2 0.5 0.5 0.2 0.2": "class '2' is not one of the 2 in data.yaml; give a whole number",
    "0.5 0.5 0.5 0.2 0.2": "class '0.5' is not one of",
    "0 0.5 0.5 -0.2 0.2": "width '-0.2' is not a part of the image",
    "0 0.5 0.5 0.2 0": "height '0' is not a part",
    "0 32 0.5 0.2 0.2": "x '32' is not a part of the image; give pixels divided",
    "0 nan 0.5 0.2 0.2": "x 'nan' is not a part",
    "0 0.5 0.5 0.2 0.2 0.9 1": "7 values are not class, x, y, width and height",
    "-1 0.5 0.5 0.2 0.2": "class '-1' is not one of",
    "0 0.5 0.5 0.2": "4 values are not class, x, y, width and height",
    "0 0.5 half 0.2 0.2": "y 'half' is not a number",
}


@pytest.mark.parametrize("label", WRONG_LABELS)
def test_a_wrong_box_is_named_by_its_line(tmp_path: Path, label: str) -> None:
    file = write(tmp_path, f"0 0.5 0.5 0.2 0.2\n\n{label}\n")
    with pytest.raises(UserError) as caught:
        read_yolo(file, 64, None)
    (line,) = caught.value.lines
    assert line.startswith(f"{tmp_path / 'labels' / 'a.txt'}:3: {WRONG_LABELS[label]}")


NAMES = "names: [thing, other]\n"
WRONG_FILES = {
    "": "it has no keys",
    "[1, 2]": "it has no keys",
    f"val: images\n{NAMES}": "it names no training images",
    f"train: nowhere\n{NAMES}": "train: there is no folder",
    f"train: labels\n{NAMES}": "train: there are no images",
    f"train: images\nval: gone.txt\n{NAMES}": "val: there is no folder",
    f"train: [images, 3]\n{NAMES}": "train holds a number, no path",
    f"train: {{a: b}}\n{NAMES}": "train holds a table, no path",
    f"path: [a]\ntrain: images\n{NAMES}": "path is a list, no text",
    "train: images\n": "it has no classes",
    "train: images\nnames: []\n": "it has no classes",
    "train: images\nnc: true\n": "it has no classes",
    "train: images\nnames: {1: thing}\n": "names are not numbered from 0",
    f"train: images\nnc: 3\n{NAMES}": "nc is 3, but there are 2 names",
    f"train: images\n{NAMES}x: !!python/object/apply:os.system [touch hacked]\n": ":3: this is not",
    "train: [images\n": "this is not plain YAML",
    "train: \x01\n": "this is not plain YAML",
    "train: " + "[" * 5000: "this is not plain YAML",
    f"a: &a [x, x]\nb: &b [*a, *a]\nnames: &c [*b, *b]\ntrain: *c\n{NAMES}": "train holds a list",
    f"train: &t [*t]\n{NAMES}": "train holds a list, no path",
    "#" * 2_000_000: "2000000 bytes are more than a data.yaml has",
}


@pytest.mark.parametrize("said", WRONG_FILES, ids=lambda said: said[:30])
def test_a_wrong_data_yaml_is_refused_in_one_line(
    tmp_path: Path, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    file = tmp_path / "data.yaml"
    file.write_text(said)
    with pytest.raises(UserError) as caught:
        read_yolo(file, 64, None)
    (line,) = caught.value.lines
    assert line.startswith(str(file))
    assert WRONG_FILES[said] in line
    assert "\n" not in line
    assert len(line) < 400 + len(str(tmp_path))
    assert not (tmp_path / "hacked").exists()


def test_a_damaged_image_is_named_and_nothing_else_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path)
    image = tmp_path / "images" / "a.png"
    whole = image.read_bytes()
    jpeg = cv2.imencode(".jpg", cv2.imread(str(image)))[1].tobytes()
    flipped = whole[:1800] + bytes(20) + whole[1820:]
    for content in (b"", b"GIF89a", whole[:8] + bytes(30), whole[:900], flipped, jpeg[:900]):
        image.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.png: this is no image"):
            read_yolo(file, 64, None)
    assert capfd.readouterr() == ("", "")
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


def test_a_missing_data_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--data: there is no file"):
        read_yolo(tmp_path / "data.yaml", 64, None)
