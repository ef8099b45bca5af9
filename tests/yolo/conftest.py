"""Ultralytics as the tests use it themselves: off the network, and out of the home."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give it a folder for its settings, with the font that its trainer would fetch."""
    folder = tmp_path_factory.mktemp("ultralytics")
    font = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    (folder / "Ultralytics").mkdir()
    shutil.copy(font, folder / "Ultralytics" / "Arial.ttf")
    with pytest.MonkeyPatch.context() as environment:
        for name in ("YOLO_AUTOINSTALL", "YOLO_VERBOSE"):
            environment.setenv(name, "false")
        environment.setenv("YOLO_OFFLINE", "true")
        environment.setenv("YOLO_CONFIG_DIR", str(folder))
        yield
