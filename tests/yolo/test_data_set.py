"""Data sets in YOLO's format: read as Ultralytics reads them, or refused in one line."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gdcli.datasets.cells import collected
from gdcli.datasets.yolo import read_data_yaml, read_yolo
from gdcli.errors import UserError
from tests.yolo.ultralytics_trainer import write_shapes

if TYPE_CHECKING:
    from pathlib import Path

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


def roboflow(folder: Path, prefix: str = "../") -> Path:
    """Write a data set of two parts as Roboflow has it; return its data.yaml."""
    for part in ("train", "valid"):
        (folder / part).mkdir(parents=True)
        write(folder / part)
    file = folder / "data.yaml"
    said = f"train: {prefix}train/images\nval: {prefix}valid/images\nnc: 2\nnames: ['a', 'b']\n"
    file.write_text(said)
    return file


@pytest.mark.parametrize("prefix", ["../", "", "./", "../../", "x/../../"])
def test_paths_of_roboflow_lead_into_the_folder(tmp_path: Path, prefix: str) -> None:
    # Beside it there is another set's folder of the same name: Ultralytics would take that.
    (tmp_path / "train").mkdir()
    write(tmp_path / "train", "1 0.5 0.5 0.1 0.1\n")
    file = roboflow(tmp_path / "robo", prefix)
    with collected() as said:
        data = read_yolo(file, 64, None)
    assert data.train["class"].tolist() == data.test["class"].tolist() == [[0]]
    told = [f"{file}: train: '{prefix}train/images' is read as 'train/images', which exists"]
    assert list(said)[:1] == (told if ".." in prefix else [])


def test_a_data_set_of_roboflow_is_as_ultralytics_has_it(tmp_path: Path) -> None:
    from ultralytics.data.utils import check_det_dataset

    file = roboflow(tmp_path / "robo")
    theirs, ours = check_det_dataset(str(file), autodownload=False), read_data_yaml(file)
    assert [str(ours.train[0]), str(ours.val[0])] == [theirs["train"], theirs["val"]]
    assert ours.classes == theirs["nc"] == 2


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        ("names: {0: cat, 1: dog}", 2),
        ("names: {'1': cat, '0': dog}", 2),
        ("nc: 3", 3),
        ("nc: '3'", 3),
        ("nc: 3.0\nnames:", 3),
        ("nc: 2\nnames: [cat, dog]", 2),
    ],
)
def test_how_many_classes_there_are(tmp_path: Path, names: str, classes: int) -> None:
    file = write(tmp_path, said=f"path:\ntrain: images\n{names}\n")
    assert read_data_yaml(file).classes == classes


@pytest.mark.parametrize("key", ["val", "validation", "test"])
def test_what_is_the_test_part(tmp_path: Path, key: str) -> None:
    file = write(tmp_path, said=f"train: [images]\n{key}: [images]\nnc: 2\n")
    with collected() as said:
        assert len(read_yolo(file, 64, None).test["image"]) == 1
    assert list(said) == (
        [] if key == "val" else [f"{file}: there is no val; {key} is the test part"]
    )


def test_a_list_of_images_and_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    for name in "bcd":
        write(tmp_path, name=name)
    said = f"path: {tmp_path}\ntrain: lists/few.txt\nval: lists/all.txt\nnc: 2\n"
    file = write(tmp_path, said=said)
    lines = "\ufeffimages/a.png\n../images/b.png\n\n" + str(tmp_path / "images" / "c.png") + "\r\n"
    (tmp_path / "lists" / "few.txt").write_text(lines, encoding="utf-8")
    (tmp_path / "lists" / "all.txt").write_text("./../images/d.png\n")
    data = read_yolo(file, 64, None)
    assert (len(data.train["image"]), len(data.test["image"])) == (3, 1)


POLYGON = "1 0.1 0.2 0.5 0.9 0.3 0.4 0.2 0.2\n0 0 0 0.25 0 0.25 0.5\n"


def test_polygons_and_what_is_there_twice(tmp_path: Path) -> None:
    from ultralytics.data.utils import verify_image_label

    file = write(tmp_path, POLYGON + POLYGON)
    image, labels = tmp_path / "images" / "a.png", tmp_path / "labels" / "a.txt"
    theirs = verify_image_label((str(image), str(labels), "", False, 2, 0, 0, False))[1]
    with collected() as said:
        data = read_yolo(file, 64, None)
    assert list(said) == [
        f"{file}: labels that are polygons, replaced by the boxes around them: 8",
        f"{file}: duplicate labels, which are ignored: 4",
    ]
    boxes = data.train["box"][0] * [1, 64 / 48, 1, 64 / 48] - [0, 8 / 48, 0, 0]  # not letterboxed
    found = np.column_stack([data.train["class"][0], boxes])
    np.testing.assert_allclose(found[np.lexsort(found.T)], theirs[np.lexsort(theirs.T)], atol=1e-6)
    labels.write_text(POLYGON + "0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(UserError, match=r"a\.txt: some lines are boxes, and some are polygons; g"):
        read_yolo(file, 64, None)
    labels.write_text("0 0.1 0.1 0.2 0.1 0.3 0.1\n")
    with pytest.raises(UserError, match=r"a\.txt:1: the polygon has no area; correct it"):
        read_yolo(file, 64, None)


def test_key_points_are_left_out(tmp_path: Path) -> None:
    said = "train: images\nnc: 2\nkpt_shape: [2, 3]\n"
    file = write(tmp_path, "1 0.5 0.5 0.2 0.4 0.1 0.1 2 0.3 0.3 1\n", said)
    with collected() as lines:
        data = read_yolo(file, 64, None)
    assert data.train["class"].tolist() == [[1]]
    assert list(lines) == [f"{file}: labels with key points, which are ignored: 1"]


def test_a_box_may_reach_out_by_rounding(tmp_path: Path) -> None:
    data = read_yolo(write(tmp_path, "0 1.0000001 -0.0000001 0.2 0.4\n"), 64, None)
    assert data.train["class"].tolist() == [[0]]


def test_images_of_nothing_are_told(tmp_path: Path) -> None:
    file = write(tmp_path)
    shutil.copy(tmp_path / "images" / "a.png", tmp_path / "images" / "b.png")
    (tmp_path / "images" / "._a.png").write_bytes(b"what macOS puts there")
    with collected() as said:
        assert read_yolo(file, 64, None).train["class"].tolist() == [[0], [-1]]
    (line,) = said
    assert line == (f"{file}: images without a file of labels, which show no object: 2")


def test_images_of_every_kind_are_those_that_ultralytics_reads(tmp_path: Path) -> None:
    from PIL import Image
    from ultralytics.utils.patches import imread

    file = write(tmp_path)
    images = tmp_path / "images"
    colours = np.random.default_rng(1).integers(0, 256, (64, 64, 4), dtype=np.uint8)
    plain = Image.fromarray(colours[..., :3])
    plain.save(images / "b.jpg")
    plain.quantize(16).save(images / "c.png")  # a palette
    plain.convert("L").save(images / "d.png")
    plain.convert("1").save(images / "e.png")
    plain.convert("CMYK").save(images / "f.jpg")
    Image.fromarray(colours).save(images / "g.png")
    plain.convert("L").convert("LA").save(images / "h.png")
    cv2.imwrite(str(images / "i.png"), colours[..., :3].astype(np.uint16) * 257)
    cv2.imwrite(str(images / "j.png"), colours[..., 0].astype(np.uint16) * 200)
    plain.save(images / "k.webp", lossless=True)
    plain.save(images / "l.bmp")
    turned = Image.Exif()
    turned[0x0112] = 6
    plain.save(images / "m.jpg", exif=turned)
    with collected() as said:
        found = read_yolo(file, 64, None).train["image"]
    for place, path in list(enumerate(sorted(images.iterdir())))[1:]:
        theirs = imread(str(path), cv2.IMREAD_COLOR)
        assert theirs is not None
        np.testing.assert_array_equal(found[place].transpose(1, 2, 0), theirs[..., ::-1])
    assert f"{file}: images with an alpha channel, which is ignored: 4" in said  # in both parts
    assert f"{file}: images of 16 bits, of which the upper 8 are used: 4" in said


def chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


@pytest.mark.parametrize("side", [10_001, 26_000, 2**31 - 1])
def test_an_image_that_unpacks_to_gigabytes_is_refused_by_its_header(
    tmp_path: Path, side: int
) -> None:
    file = write(tmp_path)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    packed = chunk(b"IDAT", zlib.compress(bytes(1000)))
    image = b"\x89PNG\r\n\x1a\n" + header + packed + chunk(b"IEND", b"")
    (tmp_path / "images" / "a.png").write_bytes(image)
    with pytest.raises(UserError, match=r"a\.png: .*; make it smaller, or take it out"):
        read_yolo(file, 64, None)


def test_what_needs_more_memory_than_there_is_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, "0 0.5 0.5 0.2 0.2\n" * 500_000)
    with pytest.raises(
        UserError,
        match=r"a\.txt: 9000000 bytes are too many for the labels of "
        r"an im",
    ):
        read_yolo(file, 64, None)
    monkeypatch.setattr("gdcli.datasets.contents.free", lambda: 10**6)
    with pytest.raises(UserError, match=r"its values take 201MB, but only 500kB of memory may be"):
        read_yolo(file, 4096, None)


def test_an_image_of_no_shades(tmp_path: Path) -> None:
    file = write(tmp_path)
    (tmp_path / "images" / "a.png").unlink()
    cv2.imwrite(str(tmp_path / "images" / "a.tif"), np.zeros((8, 8), np.float32))
    with pytest.raises(UserError, match=r"a\.tif: its pixels are numbers of 32 bits, not shades"):
        read_yolo(file, 64, None)


WRONG_LABELS = {
    "2 0.5 0.5 0.2 0.2": "class '2' is not one of the 2 in data.yaml; give a whole number",
    "0.5 0.5 0.5 0.2 0.2": "class '0.5' is not one of",
    "0 0.5 0.5 -0.2 0.2": "width '-0.2' is not a fraction of the image",
    "0 0.5 0.5 0.2 0": "height '0' is not a fraction",
    "0 32 0.5 0.2 0.2": "x '32' is not a fraction of the image; divide",
    "0 nan 0.5 0.2 0.2": "x 'nan' is not a fraction",
    "0 0.5 0.5 0.2 0.2 0.9 1 1": "8 values are not class, x, y, width and height",
    "0 1.011 0.5 0.2 0.2": "x '1.011' is not a fraction",
    "0 0.5 -0.011 0.2 0.2": "y '-0.011' is not a fraction",
    "0 0.5 0_5 0.2 0.2": "y '0_5' is not a number",
    "0 0.5 0.\u0665 0.2 0.2": "y '0.\u0665' is not a number",
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
    f"train: [images, 3]\n{NAMES}": "train holds a number, not a path",
    f"train: {{a: b}}\n{NAMES}": "train holds a table, not a path",
    f"path: [a]\ntrain: images\n{NAMES}": "path is a list, not text",
    "train: images\n": "it has no classes",
    "train: images\nnames: []\n": "it has no classes",
    "train: images\nnc: true\n": "it has no classes",
    "train: images\nnames: {1: thing}\n": "names are not numbered from 0",
    f"train: images\nnc: 3\n{NAMES}": "nc is 3, but there are 2 names",
    "train: images\nnc: 400000000\n": "400000000 classes are more than the 10000 that a data s",
    "train: images\nnc: 1.5\n": "it has no classes",
    "train: images\nnames: {'0': a, 0: b}\n": "names are not numbered from 0",
    f"train: ../other/images\n{NAMES}": "train: '../other/images' leads out of",
    f"train: images\nval: a/../../labels/x\n{NAMES}": "val: 'a/../../labels/x' leads out of",
    f"train: out.txt\n{NAMES}": "'../other/images/a.png' leads out of",
    f"train: dot.txt\n{NAMES}": "'./../other/images/a.png' leads out of",
    f"train: images\nkpt_shape: 17\n{NAMES}": "kpt_shape is not a list of two integers",
    f"train: bare\n{NAMES}": "none of 1 images has a file of labels, such as",
    f"train: images\n{NAMES}x: !!python/object/apply:os.system [touch hacked]\n": ":3: this is not",
    "train: [images\n": "this is not plain YAML",
    "train: \x01\n": "this is not plain YAML",
    "train: " + "[" * 5000: "this is not plain YAML",
    f"a: &a [x, x]\nb: &b [*a, *a]\nnames: &c [*b, *b]\ntrain: *c\n{NAMES}": "train holds a list",
    f"train: &t [*t]\n{NAMES}": "train holds a list, not a path",
    "#" * 2_000_000: "2000000 bytes are too many for a data.yaml",
}


@pytest.mark.parametrize("said", WRONG_FILES, ids=lambda said: said[:30])
def test_a_wrong_data_yaml_is_refused_in_one_line(
    tmp_path: Path, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    write(tmp_path / "other")  # which is not looked into
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder)
    (folder / "bare").mkdir()
    shutil.copy(folder / "images" / "a.png", folder / "bare")
    (folder / "out.txt").write_text("../other/images/a.png\n")
    (folder / "dot.txt").write_text("./../other/images/a.png\n")
    file = folder / "data.yaml"
    file.write_text(said)
    with pytest.raises(UserError) as caught:
        read_yolo(file, 64, None)
    (line,) = caught.value.lines
    assert line.startswith(str(folder))
    assert WRONG_FILES[said] in line
    assert "\n" not in line
    assert len(line) < 400 + 2 * len(str(tmp_path))
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
        with pytest.raises(UserError, match=r"a\.png: this is not an image"):
            read_yolo(file, 64, None)
    assert capfd.readouterr() == ("", "")
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


def test_a_missing_data_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--data: there is no file"):
        read_yolo(tmp_path / "data.yaml", 64, None)
