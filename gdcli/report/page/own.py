"""The files of this folder that the page is made of."""

from __future__ import annotations

from importlib.resources import files


def own(name: str) -> str:
    """Return a file's text."""
    return files("gdcli.report.page").joinpath(name).read_text(encoding="utf-8")
