"""The one class of a contract in a module, and whether its fields can be options."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
from dataclasses import MISSING, fields
from types import ModuleType
from typing import Any

from gdcli.errors import UserError
from gdcli.fields import KINDS, options_of, said, show
from gdcli.reference import NAME, shown

FIELDS = "bool, int, float, str, Path, a Literal or a tuple of one"


def only_class(module: ModuleType, contract: type) -> type[Any]:
    """Return the only class of a contract that a module defines; raises UserError."""
    found = classes_in(module, contract)
    word = contract.__name__.lower()
    ready: list[type[Any]] = [cls for cls in found if not inspect.isabstract(cls)]
    if len(ready) > 1:
        names = " and ".join(cls.__name__ for cls in ready)
        fix = f"leave one {word} to a file"
        raise UserError(_place(ready[1]), f"it holds more than one {word}: {names}", fix)
    if not found:
        what = f"it holds no {word}: no class of gdcli's {contract.__name__}"
        fix = f"see how gdcli new {word} NAME begins"
        raise UserError(f"{shown(module.__file__ or '')}:1", what, fix)
    if not ready:
        what = f"its class {found[-1].__name__} lacks {', '.join(found[-1].__abstractmethods__)}"
        raise UserError(_place(found[-1]), what, f"see gdcli/{word}.py")
    (cls,) = ready
    check_class(cls)
    return cls


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
        what = f"its class {cls.__name__} is no frozen dataclass"
        raise UserError(_place(cls), what, "write @dataclass(frozen=True) above it")
    for field in fields(cls):
        if field.default is MISSING and field.default_factory is MISSING:
            fix = "give it one: every option has a default"
            raise UserError(_place(cls), f"its field {field.name} has no default", fix)
        if not NAME.fullmatch(field.name):
            what = f"its field {show(field.name)} cannot be an option"
            raise UserError(_place(cls), what, "name it with a-z 0-9 _ alone")
    try:
        options = options_of(cls).values()
    except Exception as error:
        what = f"its fields are no options: {said(error)}"
        raise UserError(_place(cls), what, f"annotate them with {FIELDS}") from error
    for option in options:
        if option.kind not in KINDS:
            kind = getattr(option.kind, "__name__", option.kind)
            what = f"its field {option.field} is of a kind that no option has, {kind}"
            raise UserError(_place(cls), what, f"make it {FIELDS}")


def _place(cls: type) -> str:
    """Return where a class begins, as file:line."""
    file = sys.modules[cls.__module__].__file__ or ""
    tree = ast.parse("".join(linecache.getlines(file)))
    lines = [
        min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    ]
    return f"{shown(file)}:{lines[-1] if lines else 1}"
