"""What there is to choose from: a file in a folder is its registration.

Names and summaries are read without importing the files, so that a listing answers at once;
only `find` imports, and only what is asked for. Besides gdcli's own files there are those of
plugins, and files and classes of the user's own, which are referred to by where they are.
"""

from __future__ import annotations

import ast
import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

from gdcli import own, plugins, torch_optimizer
from gdcli.errors import UserError
from gdcli.fields import show
from gdcli.only_class import only_class
from gdcli.optimizer import Optimizer
from gdcli.problem import Problem
from gdcli.reference import TORCH, is_own, name_in
from gdcli.schedule import Schedule
from gdcli.words import entry_meant

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

    def built_in(self) -> list[str]:
        """Return the names of gdcli's own, sorted."""
        files = (Path(__file__).parent / self.folder).glob("[!_]*.py")
        return sorted(file.stem.replace("_", "-") for file in files)

    def names(self) -> list[str]:
        """Return every name, sorted, once: a plugin cannot replace a built-in of the same name."""
        return sorted({*self.built_in(), *plugins.plugins(self.folder)})

    def summary(self, name: str) -> str:
        """Return the first line of a file's docstring, without importing it."""
        if name.startswith(TORCH):
            return f"torch.optim.{name.removeprefix(TORCH)}, one trial at a time"
        if name not in self.built_in():
            return plugins.summary(plugins.plugins(self.folder)[name][0])
        file = Path(__file__).parent / self.folder / f"{name.replace('-', '_')}.py"
        return (ast.get_docstring(_parsed(file)) or "").partition("\n")[0].rstrip(".")

    def find(self, reference: str, where: str) -> type[T]:
        """Return the class referred to; raises UserError, naming `where`, if there is none."""
        if is_own(reference):
            return self._own(reference, where)
        if reference.startswith(TORCH) and self.contract is Optimizer:
            return torch_optimizer.find(reference, where)  # type: ignore[return-value]
        if reference in self.built_in():
            module = f"gdcli.{self.folder}.{reference.replace('-', '_')}"
            return only_class(importlib.import_module(module), self.contract)
        if reference in plugins.plugins(self.folder):
            return plugins.find(self.folder, reference, self.contract, where)
        hint = entry_meant(self.folder, reference, self.names()) or f"see: gdcli {self.folder}"
        raise UserError(where, f"there is no {self.word} {show(reference)}", hint)

    def _own(self, reference: str, where: str) -> type[T]:
        """Return a class of the user's own, whose name is no other's: results tell by it."""
        if (name := name_in(reference)) in self.names():
            what = f"{show(reference)} would be called {name}, as another {self.word} is"
            raise UserError(where, what, "give it another name")
        return own.find(reference, self.contract, where)


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


# mypy asks for a concrete class where type[T] is wanted; the contracts are abstract on purpose.
PROBLEMS: Catalogue[Problem] = Catalogue("problems", Problem)  # type: ignore[type-abstract]
OPTIMIZERS: Catalogue[Optimizer] = Catalogue("optimizers", Optimizer)  # type: ignore[type-abstract]
SCHEDULES: Catalogue[Schedule] = Catalogue("schedules", Schedule)  # type: ignore[type-abstract]


def name_of(entry: object) -> str:
    """Return the name under which an instance's class is found, or that its file gives it."""
    if source := own.source_of(type(entry)):
        return source.name
    if isinstance(entry, torch_optimizer.TorchOptimizer):
        return f"{TORCH}{entry.kind}"
    return type(entry).__module__.rpartition(".")[2].replace("_", "-")
