"""What there is to choose from: a file in a folder is its registration.

Names and summaries are read without importing the files, so that a listing answers at once;
only `find` imports, and only the file that is asked for.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from gdcli.errors import UserError
from gdcli.fields import show, suggestion
from gdcli.optimizer import Optimizer
from gdcli.problem import Problem
from gdcli.schedule import Schedule

T = TypeVar("T")


@dataclass(frozen=True)
class Catalogue(Generic[T]):
    """The files of one folder, each of which holds one class of a contract."""

    folder: str  # also the package's and the listing command's name: "optimizers"
    contract: type[T]

    @property
    def word(self) -> str:
        """What one entry is called: "optimizer"."""
        return self.folder.removesuffix("s")

    def names(self) -> list[str]:
        """Return every name, sorted."""
        files = (Path(__file__).parent / self.folder).glob("[!_]*.py")
        return sorted(file.stem.replace("_", "-") for file in files)

    def summary(self, name: str) -> str:
        """Return the first line of a file's docstring, without importing it."""
        file = Path(__file__).parent / self.folder / f"{name.replace('-', '_')}.py"
        return (ast.get_docstring(_parsed(file)) or "").partition("\n")[0].rstrip(".")

    def find(self, name: str, where: str) -> type[T]:
        """Return the class of that name; raises UserError, naming `where`, if there is none."""
        if name not in self.names():
            hint = suggestion(name, self.names()) or f"see: gdcli {self.folder}"
            raise UserError(where, f"there is no {self.word} {show(name)}", hint)
        module = importlib.import_module(f"gdcli.{self.folder}.{name.replace('-', '_')}")
        return self._class_in(module)

    def _class_in(self, module: Any) -> type[T]:
        found = [
            member
            for member in vars(module).values()
            if inspect.isclass(member)
            and issubclass(member, self.contract)
            and member.__module__ == module.__name__
        ]
        if len(found) != 1:
            what = f"it holds {len(found)} classes of {self.contract.__name__}"
            raise UserError(str(module.__file__), what, f"leave one {self.word} to a file")
        return found[0]


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


# mypy asks for a concrete class where type[T] is wanted; the contracts are abstract on purpose.
PROBLEMS: Catalogue[Problem] = Catalogue("problems", Problem)  # type: ignore[type-abstract]
OPTIMIZERS: Catalogue[Optimizer] = Catalogue("optimizers", Optimizer)  # type: ignore[type-abstract]
SCHEDULES: Catalogue[Schedule] = Catalogue("schedules", Schedule)  # type: ignore[type-abstract]


def name_of(entry: object) -> str:
    """Return the name under which an instance's class is found: its file's."""
    return type(entry).__module__.rpartition(".")[2].replace("_", "-")
