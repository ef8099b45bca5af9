"""The classes of a contract in a module, and whether their fields can be options."""

from __future__ import annotations

import ast
import importlib
import inspect
import linecache
import re
import sys
import traceback
from contextlib import suppress
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdcli.errors import RunError, UserError
from gdcli.fields import KINDS, options_of, said, show

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

PACKAGE = Path(__file__).parents[1]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
FIELDS = "bool, int, float, str, Path, a Literal or a tuple of one"


def import_part(name: str) -> ModuleType:
    """Import a file of gdcli's own folders; raises UserError with the place of its fault."""
    try:
        return importlib.import_module(name)
    except (UserError, RunError):
        raise
    except Exception as error:
        file = PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")
        parsed(file)  # says what is not Python
        where = error_place(error, {str(file)}) or f"{shown(file)}:1"
        raise UserError(
            where, f"importing it raised {in_line(error)}", "correct the file"
        ) from error


def parsed(file: Path) -> ast.Module:
    """Return the tree of a file of gdcli's own folders; raises UserError if it is not Python."""
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        line, what = 1, str(error)
        if isinstance(error, SyntaxError):
            line, what = error.lineno or 1, error.msg
        raise UserError(
            f"{shown(file)}:{line}", f"it is not Python: {what}", "correct the file"
        ) from None


def document_line(tree: ast.Module) -> str:
    """Return the first line of a file's docstring, without its full stop."""
    return (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".")


def only_class(module: ModuleType, contract: type, *, options: bool = True) -> type[Any]:
    """Return the only class of a contract that a module defines; raises UserError.

    options: the fields of the class are options, so that it is a frozen dataclass.
    """
    ready = ready_classes(module, contract)
    if len(ready) > 1:
        word = word_of(contract)
        names = " and ".join(cls.__name__ for cls in ready)
        fix = f"leave one {word} to a file"
        raise UserError(class_place(ready[1]), f"it holds more than one {word}: {names}", fix)
    (cls,) = ready
    if options:
        check_class(cls)
    return cls


def ready_classes(module: ModuleType, contract: type) -> list[type[Any]]:
    """Return the classes of a contract that a module defines and that are complete.

    Raises UserError if there is none, or if one lacks a method or a value of the contract.
    """
    found = classes_in(module, contract)
    file = _file_of(contract)
    if not found:
        word = word_of(contract)
        what = f"it holds no {word}: no class of gdcli's {_classes(contract)}"
        starter = PACKAGE / "starters" / f"{word}.py.txt"
        fix = f"see how gdcli new {word} NAME begins" if starter.is_file() else f"see {file}"
        raise UserError(f"{shown(module.__file__ or '')}:1", what, fix)
    for cls in found:
        if inspect.isabstract(cls) and any(issubclass(one, cls) for one in found if one is not cls):
            continue  # what others of the file share
        if lacks := [*sorted(getattr(cls, "__abstractmethods__", ())), *_unset(cls)]:
            what = f"its class {cls.__name__} lacks {', '.join(lacks)}"
            raise UserError(class_place(cls), what, f"see {file}")
    return [cls for cls in found if not inspect.isabstract(cls)]


def _unset(cls: type) -> list[str]:
    """Return the class variables that a contract declares without a value, and that have none."""
    declared = {
        name
        for base in cls.__mro__
        for name, kind in vars(base).get("__annotations__", {}).items()
        if "ClassVar" in str(kind)
    }
    return sorted(name for name in declared if not hasattr(cls, name))


def word_of(contract: type) -> str:
    """Return what a contract is called in a sentence: RunView is "run view"."""
    if contract.__name__ == "Rule":  # what --optimizer takes: an Optimizer or a Method
        return "optimizer"
    return HUMP.sub(" ", contract.__name__).lower()


def _classes(contract: type) -> str:
    return "Optimizer or Method" if contract.__name__ == "Rule" else contract.__name__


def classes_by(
    modules: Iterable[ModuleType], contract: type, attribute: str
) -> dict[str, type[Any]]:
    """Return the ready classes of modules by an attribute that tells each from the others.

    Raises UserError for two with the same value.
    """
    found: dict[str, type[Any]] = {}
    for cls in (cls for module in modules for cls in ready_classes(module, contract)):
        name = getattr(cls, attribute)
        if other := found.get(name):
            place = class_place(other)
            what = f"its {attribute} {show(name)} is also that of {other.__name__}, {place}"
            raise UserError(class_place(cls), what, "change one of them")
        found[name] = cls
    return found


def classes_in(module: ModuleType, contract: type) -> list[Any]:
    """Return the classes of a contract that a module defines, abstract ones among them."""
    return [
        member
        for member in dict.fromkeys(filter(inspect.isclass, vars(module).values()))
        if issubclass(member, contract) and member.__module__ == module.__name__
    ]


def check_class(cls: type[Any]) -> None:
    """Raise UserError for a class whose fields cannot be options."""
    settings = vars(cls).get("__dataclass_params__")
    if settings is None or not settings.frozen:
        what = f"its class {cls.__name__} is not a frozen dataclass"
        raise UserError(class_place(cls), what, "write @dataclass(frozen=True) above it")
    for field in fields(cls):
        if field.default is MISSING and field.default_factory is MISSING:
            fix = "give it one: every option has a default"
            raise UserError(class_place(cls), f"its field {field.name} has no default", fix)
        if not NAME.fullmatch(field.name):
            what = f"its field {show(field.name)} cannot be an option"
            raise UserError(class_place(cls), what, "name it with a-z 0-9 _ alone")
    try:
        options = options_of(cls).values()
    except Exception as error:
        what = f"its fields are not options: {said(error)}"
        raise UserError(class_place(cls), what, f"annotate them with {FIELDS}") from error
    for option in options:
        if option.kind not in KINDS:
            kind = getattr(option.kind, "__name__", option.kind)
            what = f"its field {option.field} is of a kind that no option has, {kind}"
            raise UserError(class_place(cls), what, f"make it {FIELDS}")


def _file_of(contract: type) -> str:
    return f"{contract.__module__.replace('.', '/')}.py"


def class_place(cls: type) -> str:
    """Return where a class begins, as file:line."""
    file = sys.modules[cls.__module__].__file__ or ""
    tree = ast.parse("".join(linecache.getlines(file)))
    lines = [
        min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    ]
    return f"{shown(file)}:{lines[-1] if lines else 1}"


def shown(file: str | Path) -> str:
    """Return a path as short as the working directory allows."""
    with suppress(OSError, ValueError):  # no such directory any more, or the file is elsewhere
        return str(Path(file).relative_to(Path.cwd()))
    return str(file)


def error_place(error: BaseException, files: set[str]) -> str:
    """Return the innermost place, in one of some files, at which an exception passed, or ""."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in files]
    return f"{shown(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""


def in_line(error: BaseException) -> str:
    """Return what an exception says, in one line."""
    return " ".join(said(error).split())
