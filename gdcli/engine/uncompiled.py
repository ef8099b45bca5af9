"""Derivatives by torch.func without what they import of torch's compiler and never use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from types import ModuleType
from typing import Any

import torch

COMPILER = "torch._dynamo"


class _Later(ModuleType):
    """A module that is imported when something is asked of it that it does not hold."""

    def __getattr__(self, name: str) -> Any:
        """Return what the module itself has."""
        return getattr(import_module(self.__name__), name)


@contextmanager
def uncompiled() -> Iterator[None]:
    """Have torch._dynamo not imported: it takes 1.5 s and 75 MB, and nothing is compiled here.

    torch.func switches compiled autograd off while it differentiates. Where the compiler was never
    imported it is off.
    """
    with _symbols_unread():
        yield from _compiler_unread()


def _compiler_unread() -> Iterator[None]:
    name = COMPILER.rpartition(".")[2]
    if name in vars(torch):
        yield
        return
    compiler, autograd = _Later(COMPILER), _Later(f"{COMPILER}.compiled_autograd")
    vars(autograd)["_disable"] = nullcontext
    vars(compiler)["compiled_autograd"] = autograd
    vars(torch)[name] = compiler
    try:
        yield
    finally:
        if vars(torch).get(name) is compiler:
            del vars(torch)[name]


@contextmanager
def _symbols_unread() -> Iterator[None]:
    """Have torch check what is true without its algebra of sizes: sympy takes 1 s and 60 MB."""
    check = torch._check_with  # noqa: SLF001 -- what all of its checks go through

    def checked(error: type[Exception], cond: Any, message: Callable[[], str]) -> None:
        if cond is not True:
            check(error, cond, message)

    vars(torch)["_check_with"] = checked
    try:
        yield
    finally:
        vars(torch)["_check_with"] = check
