"""What there is to choose from: gdcli's files, plugins, a user's own code, and torch.optim.

A file in one of gdcli's folders is its own registration. Installed packages add names by the entry
points `gdcli.problems`, `.optimizers`, `.wrappers`, `.schedules` and `.measures`. A listing reads
names and the first lines of docstrings, and imports nothing; `find` imports only what is asked for.
An optimizer `torch:NAME` is that class of torch.optim; the arguments of the class that have a
number, a flag or numbers as default are its options. An optimizer `adamw+ema` is put together of a
rule and what follows it; see composed.py.
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass, field, make_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

from gdcli.catalog import user_code
from gdcli.catalog.classes import NAME, document_line, import_part, only_class, parsed
from gdcli.catalog.composed import Composed, Part, compose, grouped
from gdcli.catalog.user_code import TORCH, is_file, is_own, name_in, parts_of
from gdcli.errors import UserError
from gdcli.fields import Option, options_of, show, squashed, suggestion
from gdcli.measure import Measure
from gdcli.method import Wrapper
from gdcli.optimizer import OF_EVERY_RULE, Optimizer, Rule, State
from gdcli.problem import Problem
from gdcli.schedule import Schedule
from gdcli.words import entry_meant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.metadata import EntryPoint

    import torch

    from gdcli.problem import Array


@cache
def plugins(folder: str) -> dict[str, tuple[EntryPoint, ...]]:
    """Return the entry points of the group `gdcli.<folder>` by name; a name may be taken twice."""
    # As slow to import as all of gdcli: only who asks for more than gdcli's own waits for it.
    from importlib.metadata import entry_points  # noqa: PLC0415

    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=f"gdcli.{folder}"):
        name = entry.name.replace("_", "-")
        if NAME.fullmatch(name) and entry not in found.get(name, ()):
            found[name] = (*found.get(name, ()), entry)
    return found


def summary(entry: EntryPoint) -> str:
    """Return the first line of a plugin's docstring, or else which package it is from."""
    spec = user_code.spec_of(entry.module)
    try:
        tree = ast.parse(Path((spec and spec.origin) or "").read_bytes())
    except (OSError, SyntaxError, ValueError):
        return f"from {_package(entry)}"
    return document_line(tree) or f"from {_package(entry)}"


def find_plugin(folder: str, name: str, contract: type, where: str) -> type[Any]:
    """Return the class of a plugin, imported; raises UserError, naming `where`."""
    entries = plugins(folder)[name]
    if len(entries) > 1:
        packages = " and ".join(sorted(map(_package, entries)))
        what = f"{show(name)} is in more than one package: {packages}"
        raise UserError(where, what, "uninstall all but one")
    (entry,) = entries
    try:
        return user_code.imported(entry.module, entry.attr, contract, name, where)
    except UserError as error:
        fix = f"update or uninstall {_package(entry)}"
        raise UserError(where, f"the plugin {show(name)}: {error.what}", fix) from error


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package"


ABOUT = """Its options are the arguments of torch.optim.{name} whose defaults are numbers or flags.

https://docs.pytorch.org/docs/stable/generated/torch.optim.{name}.html says what they do.
--epochs and --steps count its steps as those of the others. Where a step takes several gradients,
as those of LBFGS do, the columns epoch and examples count the passes over the data that they are.
"""
# How torch computes, not what; the sign of the loss; and what is the trial's.
NOT_ITS_OWN = {
    "self",
    "params",
    "lr",
    "foreach",
    "capturable",
    "differentiable",
    "fused",
    "maximize",
}


@dataclass(frozen=True)
class TorchOptimizer(Optimizer):
    """A class of torch.optim, which moves the parameters of one trial by itself."""

    kind: ClassVar[str] = ""  # the class's name
    arguments: ClassVar[tuple[str, ...]] = ()
    refused: ClassVar[tuple[str, ...]] = ()  # fields of every optimizer that the class has not
    needs_torch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse weight decay that the class does not have; raises UserError."""
        if self.weight_decay and "weight_decay" in self.refused:
            what = f"{TORCH}{self.kind} has no weight decay"
            raise UserError("--weight-decay", what, "leave it out, or take another optimizer")

    def made(self, params: list[torch.Tensor], lr: float) -> torch.optim.Optimizer:
        """Return the optimizer of some parameters."""
        import torch

        made: torch.optim.Optimizer = getattr(torch.optim, self.kind)(
            params, lr=lr, **{name: getattr(self, name) for name in self.arguments}
        )
        return made

    def update(self, grad: Array, state: State, param: Array, step: int) -> tuple[Array, State]:
        """Raise NotImplementedError: torch takes its steps itself."""
        raise NotImplementedError


def find_torch(reference: str, where: str) -> type[TorchOptimizer]:
    """Return the class that torch:NAME means; raises UserError if torch.optim has none."""
    import torch.optim

    name = reference.removeprefix(TORCH)
    known = [
        n
        for n, c in vars(torch.optim).items()
        if inspect.isclass(c) and issubclass(c, torch.optim.Optimizer) and n != "Optimizer"
    ]
    if name not in known:
        typed = {n: f"{TORCH}{n}" for n in known}
        hint = suggestion(name, known, typed) or f"give {TORCH} and one of {', '.join(known)}"
        raise UserError(where, f"torch.optim has no class {show(name)}", hint)
    return _made(name)


@cache
def _made(name: str) -> type[TorchOptimizer]:
    """Return the optimizer of a class of torch.optim, whose arguments are its options."""
    import torch.optim

    cls = getattr(torch.optim, name)
    own = dict(_arguments(cls))
    made = make_dataclass(
        f"Torch{name}",
        [
            (n, Annotated[kind, f"{n} of torch.optim.{name}"], field(default=value))
            for n, (kind, value) in own.items()
        ],
        bases=(TorchOptimizer,),
        namespace={
            "kind": name,
            "arguments": tuple(own),
            "default_lr": float(inspect.signature(cls).parameters["lr"].default),
            "refused": () if "weight_decay" in own else ("weight_decay",),
            "__doc__": ABOUT.format(name=name),
        },
        frozen=True,
    )
    made.__module__ = __name__
    return made


def _arguments(cls: type) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield the arguments that can be options: name, kind and default."""
    for name, argument in inspect.signature(cls).parameters.items():
        value, said = argument.default, str(argument.annotation)
        if name in NOT_ITS_OWN or isinstance(value, str) or value is None:
            continue
        if isinstance(value, tuple):
            if all(isinstance(part, int | float) for part in value):
                kinds = tuple(float for _ in value)
                yield name, (tuple[kinds], tuple(map(float, value)))  # type: ignore[valid-type]
        elif isinstance(value, bool | int | float):
            # torch writes 0 for a number that need not be whole.
            whole = isinstance(value, bool) or (isinstance(value, int) and "float" not in said)
            yield name, (type(value), value) if whole else (float, float(value))


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
        files = (Path(__file__).parents[1] / self.folder).glob("[!_]*.py")
        return sorted(file.stem.replace("_", "-") for file in files)

    def names(self) -> list[str]:
        """Return every name, sorted, once: a plugin cannot replace a built-in of the same name."""
        return sorted({*self.built_in(), *plugins(self.folder)})

    def summary(self, name: str) -> str:
        """Return the first line of a file's docstring, without importing it."""
        if len(parts := parts_of(name)) > 1:
            return "; ".join(catalogue_of(part).summary(part) for part in parts)
        if name.startswith(TORCH):
            return f"torch.optim.{name.removeprefix(TORCH)}, one trial at a time"
        if name not in self.built_in():
            return summary(plugins(self.folder)[name][0])
        return document_line(self._tree(name))

    def bases(self, name: str) -> set[str]:
        """Return the names of the classes that those of a built-in file derive from, unimported.

        What derives from a class of the same file has the bases of that class.
        """
        tree = self._tree(name).body if name in self.built_in() else []
        bases = [base for node in tree if isinstance(node, ast.ClassDef) for base in node.bases]
        return {ast.unparse(base).rpartition(".")[2] for base in bases}

    def _tree(self, name: str) -> ast.Module:
        return _tree(Path(__file__).parents[1] / self.folder / f"{name.replace('-', '_')}.py")

    def find(self, reference: str, where: str) -> type[T]:
        """Return the class referred to; raises UserError, naming `where`, if there is none."""
        if self.contract is Rule and len(parts_of(reference)) > 1:
            return find_composed(reference, where)  # type: ignore[return-value]
        if is_own(reference):
            return self._own(reference, where)
        if reference.startswith(TORCH) and self.contract is Rule:
            return find_torch(reference, where)  # type: ignore[return-value]
        if reference in self.built_in():
            module = f"gdcli.{self.folder}.{reference.replace('-', '_')}"
            return only_class(import_part(module), self.contract)
        if reference in plugins(self.folder):
            return find_plugin(self.folder, reference, self.contract, where)
        if self.contract is Rule and reference in WRAPPERS.names():
            what = f"{reference} is a wrapper, which goes around a rule"
            raise UserError(where, what, f"write it after one: adamw+{reference}")
        hint = entry_meant(self.folder, reference, self.names()) or f"see: gdcli {self.folder}"
        raise UserError(where, f"there is no {self.word} {show(reference)}", hint)

    def _own(self, reference: str, where: str) -> type[T]:
        """Return a class of the user's own, whose name no other has: results tell by it."""
        if (name := name_in(reference)) in self.names():
            what = f"{show(reference)} would be called {name}, as another {self.word} is"
            raise UserError(where, what, "give it another name")
        if self.contract is Rule and is_file(reference):
            _refuse_wrapper(reference, where)
        return user_code.find(reference, self.contract, where)


_tree = cache(parsed)


# mypy asks for a concrete class where type[T] is wanted; the contracts are abstract on purpose.
PROBLEMS: Catalogue[Problem] = Catalogue("problems", Problem)  # type: ignore[type-abstract]
OPTIMIZERS: Catalogue[Rule] = Catalogue("optimizers", Rule)
WRAPPERS: Catalogue[Wrapper] = Catalogue("wrappers", Wrapper)
SCHEDULES: Catalogue[Schedule] = Catalogue("schedules", Schedule)  # type: ignore[type-abstract]
MEASURES: Catalogue[Measure] = Catalogue("measures", Measure)  # type: ignore[type-abstract]


def catalogue_of(part: str) -> Catalogue[Any]:
    """Return where a part of a composed name is found: among the wrappers, or the optimizers."""
    for catalogue in (OPTIMIZERS, WRAPPERS):  # to ask for plugins takes longer than all the rest
        if part in catalogue.built_in():
            return catalogue
    return WRAPPERS if part in plugins(WRAPPERS.folder) else OPTIMIZERS


def find_composed(reference: str, where: str) -> type[Composed]:
    """Return the class of a composed name; raises UserError, naming `where`, where it is none."""
    first, *others = parts_of(reference)
    return compose(
        [_part(first, reference, where), *(_part(o, reference, where) for o in others)], where
    )


def _part(part: str, whole: str, where: str) -> Part:
    """Return a part of a composed name; raises UserError, naming `where`, for what is none."""
    if not part.strip():
        fix = "write a rule, then what goes around it: adamw+ema"
        raise UserError(where, f"{show(whole)} has a + with nothing beside it", fix)
    if part.startswith(TORCH):
        known = (n for n in OPTIMIZERS.names() if squashed(n) == squashed(part.removeprefix(TORCH)))
        fix = (
            f"write {whole.replace(part, name)}"
            if (name := next(known, ""))
            else "take one of gdcli's"
        )
        raise UserError(
            where, f"torch moves the parameters of {part} itself: it cannot be a part", fix
        )
    if is_own(part):
        return Part(name_in(part), _own_part(part, where))
    catalogue = catalogue_of(part)
    if part not in catalogue.built_in() and part not in plugins(catalogue.folder):
        names = [*OPTIMIZERS.names(), *WRAPPERS.names()]
        hint = suggestion(part, names) or entry_meant(OPTIMIZERS.folder, part, names)
        what = f"there is no optimizer or wrapper {show(part)}"
        raise UserError(where, what, hint or "see: gdcli optimizers")
    return Part(part, catalogue.find(part, where))


def _own_part(part: str, where: str) -> type[Rule | Wrapper]:
    """Return the wrapper or the rule that a file or class of the user's own is."""
    if is_file(part):
        user_code.check(part, where)
        catalogue = WRAPPERS if user_code.holds(part, Wrapper, where) else OPTIMIZERS
        return catalogue.find(part, where)
    try:
        return WRAPPERS.find(part, where)
    except UserError:
        return OPTIMIZERS.find(part, where)


def _refuse_wrapper(file: str, where: str) -> None:
    """Raise UserError for a file of the user's own that holds a wrapper and no rule."""
    user_code.check(file, where)
    if user_code.holds(file, Wrapper, where) and not user_code.holds(file, Rule, where):
        what = f"{name_in(file)} is a wrapper, which goes around a rule"
        raise UserError(where, what, f"write it after one: adamw+{user_code.relative(file)}")


@dataclass(frozen=True)
class Owned:
    """An option of a rule, and the field that has its value."""

    option: Option
    field: str


def owned(name: str, cls: type) -> Mapping[str, Owned]:
    """Return the options of a rule or schedule as --vary names them: "momentum.beta", "ema.decay".

    What every rule has, such as weight decay, is an axis of its own.
    """
    return _owned(name, cls)


@cache
def _owned(name: str, cls: type) -> Mapping[str, Owned]:
    if issubclass(cls, Composed):
        return {
            f"{part.name}.{option.name}": Owned(option, cls.flat[part.name, option.field])
            for part in cls.parts
            for option in options_of(part.kind).values()
            if (part.name, option.field) in cls.flat
        }
    options = options_of(cls).values()
    return {f"{name}.{o.name}": Owned(o, o.field) for o in options if o.field not in OF_EVERY_RULE}


def grouped_rule(reference: str, rule: type[Rule], groups: str, where: str) -> type[Composed]:
    """Return an optimizer whose parameters may have the settings of groups; raises UserError."""
    if issubclass(rule, TorchOptimizer):
        what = f"torch moves the parameters of {reference} itself, all alike"
        raise UserError(where, what, "leave --for out, or take one of gdcli's optimizers")
    own = rule.parts if issubclass(rule, Composed) else (Part(name_in(reference), rule),)
    return grouped(own, groups, where, lambda name: _given(name, where))


def _given(name: str, where: str) -> Part:
    """Return the rule that --for names; raises UserError for what is none that has a name."""
    if is_own(name) or len(parts_of(name)) > 1:
        what = f"{show(name)} is not the name of one of gdcli's optimizers"
        raise UserError(where, what, "give a name that gdcli optimizers lists")
    return _part(name, name, where)


def kinds_in(word: str, cls: type[Any]) -> list[tuple[str, type[Any]]]:
    """Return what a class is put together of, each with its word: ("wrapper", Ema)."""
    if issubclass(cls, Composed):
        return [("wrapper" if part.wraps else word, part.kind) for part in cls.parts]
    return [(word, cls)]


def name_of(entry: object) -> str:
    """Return the name under which an instance's class is found, or that its file gives it."""
    if isinstance(entry, Composed):  # "+for": what is known of a rule does not hold with --for
        own = [part.name for part in entry.parts if not part.given]
        return "+".join(own + ["for"] * bool(entry.groups))
    if source := user_code.source_of(type(entry)):
        return source.name
    if isinstance(entry, TorchOptimizer):
        return f"{TORCH}{entry.kind}"
    return type(entry).__module__.rpartition(".")[2].replace("_", "-")
