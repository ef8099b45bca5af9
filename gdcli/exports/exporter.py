"""What an exporter is, and which there are: the files to_NAME.py, one class in each."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from gdcli.catalog.classes import document_line, import_part, only_class, parsed
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.numbers import settings_in_words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from gdcli.experiment.grid import Trial
    from gdcli.runs.csv_read import Value
    from gdcli.runs.folder import RunFolder
    from gdcli.studies.training import Weights

OUTPUT = "--output"
UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")
LONGEST = 100  # characters of a folder's name before the trial's id, and of that


class Exporter:
    """A form that other tools read; the first line of its file's docstring is its help."""

    endings: ClassVar[tuple[str, ...]] = ()  # of the file; none: the output is not a file
    place: ClassVar[str] = ""  # what the output is where it is not a file: "a folder"
    printed: ClassVar[bool] = False  # without an output it is printed


class RunExporter(Exporter, ABC):
    """A form of a run, or of some of its trials, made from the run's files alone."""

    @abstractmethod
    def write(
        self, run: RunFolder, trials: Collection[str], output: str, *, overwrite: bool
    ) -> list[str]:
        """Write the trials with these ids, all of them where none is given.

        Return what to tell of it, a line each. Raises UserError for an output that cannot be
        written, or that is there already unless `overwrite`.
        """

    def lines(self, run: RunFolder, trials: Collection[str]) -> Iterator[str]:
        """Yield what is printed without an output, of an exporter that is `printed`."""
        raise NotImplementedError


class WeightsExporter(Exporter, ABC):
    """A form of one trial's weights, which training it again finds."""

    def check(self, trial: Trial) -> None:
        """Raise UserError for a trial without this form; asked before it is trained."""

    @abstractmethod
    def content(self, weights: Weights) -> bytes:
        """Return the file."""


def names() -> list[str]:
    """Return the names of the exporters, sorted, without importing them."""
    return sorted(file.stem.removeprefix("to_") for file in Path(__file__).parent.glob("to_*.py"))


def summary(name: str) -> str:
    """Return the first line of an exporter's docstring, without importing it."""
    return document_line(parsed(Path(__file__).with_name(f"to_{name}.py")))


def find(name: str) -> Exporter:
    """Return an exporter; raises UserError where a package that it needs is not installed."""
    try:
        module = import_part(f"{__package__}.to_{name}")
    except UserError as error:
        if not isinstance(error.__cause__, ModuleNotFoundError):
            raise
        from importlib.metadata import metadata  # it imports the parsers of e-mail

        package = (error.__cause__.name or "").partition(".")[0]
        what = f"{name} needs {package}, which is not installed"
        extras = metadata("gdcli").get_all("Provides-Extra") or ()
        fix = f"pip install 'gdcli[{name}]'" if name in extras else "install it with pip"
        raise UserError("--to", what, fix) from None
    return cast("Exporter", only_class(module, Exporter, options=False)())


def refuse_existing(files: Iterable[Path], *, overwrite: bool) -> None:
    """Raise UserError where a file is there that may not be replaced."""
    for file in files:
        if file.is_dir():
            raise UserError(OUTPUT, f"{show(str(file))} is a folder", "give another name")
        if file.exists() and not overwrite:
            what = f"{show(str(file))} is there already"
            raise UserError(OUTPUT, what, "give another name, or --overwrite to replace it")


def refuse_no_folder(folder: Path) -> None:
    """Raise UserError unless this is a folder, or can be made in one."""
    if folder.exists() and not folder.is_dir():
        raise UserError(OUTPUT, f"{show(str(folder))} is a file", "give a folder")
    if not folder.parent.is_dir():
        fix = "give one in a folder that exists"
        raise UserError(OUTPUT, f"{show(str(folder))} is in no folder that exists", fix)


def label(settings: Mapping[str, Value]) -> str:
    """Return a trial's settings in words: "minibatch 32 adam lr=0.1 seed=0", without its id."""
    others = {name: value for name, value in settings.items() if name != "trial"}
    return settings_in_words(others, schedule=settings["schedule"] != "constant")


def folder_name(settings: Mapping[str, Value]) -> str:
    """Return a name that is safe as a folder's anywhere, whatever the settings say."""
    words, trial = (UNSAFE.sub("_", text) for text in (label(settings), str(settings["trial"])))
    return f"{words[:LONGEST]}_{trial[:LONGEST]}"
