"""Code of the user's own: how it is referred to, found and run.

quadratic              by its name: gdcli's own, or a plugin's
./my_problem.py        by its file; its name is then my-problem
package.module:MyBowl  by its class, which Python can import; its name is then my-bowl
torch:Adamax           a class of torch.optim
adamw+./my_average.py  a rule, then further rules and wrappers, each one of these

A file is run when a command needs what it holds, and at no other time. It is known by its content:
the results of a run belong to the SHA-256 of the file that they were computed with.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import linecache
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn

from gdcli import door, process
from gdcli.catalog.classes import (
    HUMP,
    NAME,
    check_class,
    classes_in,
    error_place,
    in_line,
    only_class,
    shown,
    word_of,
)
from gdcli.errors import RunError, UserError
from gdcli.fields import said, show

TORCH = "torch:"
# One part of a composed name. A "+" in a path does not end it: ./c++/rule.py+ema has two parts.
PART = re.compile(r"([A-Za-z0-9][\w-]*|torch:\w+|[\w.]+:[\w.]+|.+?\.py)(?=\+(?!\+)|$)", re.ASCII)


def parts_of(reference: str) -> tuple[str, ...]:
    """Return the parts of a composed name such as adamw+cautious+ema; one part of any other."""
    if "+" not in reference or (is_file(reference) and Path(reference).is_file()):
        return (reference,)
    parts, at = [], 0
    while at <= len(reference):
        found = PART.match(reference, at)
        if found is None:  # an error names that part
            return (reference,) if is_file(reference) else tuple(reference.split("+"))
        parts.append(found[0])
        at = found.end() + 1
    return tuple(parts)


def is_file(reference: str) -> bool:
    """Return whether a reference is the path of a Python file."""
    return reference.endswith(".py") or "/" in reference or os.sep in reference


def is_own(reference: str) -> bool:
    """Return whether a reference is to code of the user's own: a file, or an importable class.

    A composed name is if one of its parts is.
    """
    return any(
        is_file(part) or (":" in part and not part.startswith(TORCH))
        for part in parts_of(reference)
    )


def absolute(reference: str) -> str:
    """Return a reference that means the same from every working directory."""
    parts = parts_of(reference)
    # Not resolved: a link has the name that its user gave it.
    return "+".join(os.path.abspath(p) if is_file(p) else p for p in parts)  # noqa: PTH100


def relative(reference: str) -> str:
    """Return a reference to a file below the working directory as it would be typed there."""
    return "+".join(map(_relative, parts_of(reference)))


def _relative(reference: str) -> str:
    if not is_file(reference) or Path(short := shown(reference)).is_absolute():
        return reference
    return f"./{Path(short).as_posix()}"


def name_in(reference: str) -> str:
    """Return the name that results have for what is referred to, without importing it."""
    return "+".join(map(_name_in, parts_of(reference)))


def _name_in(reference: str) -> str:
    if is_file(reference):
        return Path(reference).stem.replace("_", "-")
    if ":" in reference and not reference.startswith(TORCH):
        return HUMP.sub("-", reference.rpartition(":")[2]).replace("_", "-").lower()
    return reference


def check(reference: str, where: str) -> None:
    """Raise UserError, naming `where`, for what cannot name a column, a folder and an axis."""
    name = name_in(reference)
    if is_file(reference) and not reference.endswith(".py"):
        what = f"{show(reference)} does not end in .py"
        raise UserError(where, what, "give a Python file, such as ./my_problem.py")
    if is_own(reference) and not NAME.fullmatch(name):
        what = f"{show(reference)} would be called {show(name)} in results"
        raise UserError(where, what, "name it with A-Z a-z 0-9 _ alone")
    if "," in reference:  # which separates the values of an axis
        what = f"there is a comma in {show(reference)}"
        raise UserError(where, what, "move the file to a folder without one")


@dataclass(frozen=True)
class SourceFile:
    """Where a class comes from that is not gdcli's."""

    name: str  # in results
    file: str
    sha256: str


class Untrusted(UserError):  # noqa: N818 -- what a folder names, not that it is wrong
    """Code that a folder names, and that nobody said is to be run."""


@dataclass(frozen=True)
class Stranger:
    """A run's folder, which names code: none of it is run unless the user says so.

    What the user's own command names is run anyway, and is the same code where its checksum is.
    """

    where: str  # the folder's file that names the code
    code: Mapping[str, str]  # the SHA-256 of what the run was made with, by "problem my-bowl"
    trust: bool  # `--trust` is given

    def admit(self, kind: str, reference: str) -> None:
        """Raise Untrusted for code that is not to be run, UserError for a file that was changed.

        `kind` is "problem", "optimizer" or "schedule". Nothing is run before a file's checksum is
        known to be the one that the run was made with.
        """
        first, *others = parts_of(reference)
        self._admit(kind, first)
        for part in others:
            self._admit("wrapper" if f"wrapper {name_in(part)}" in self.code else kind, part)

    def _admit(self, kind: str, reference: str) -> None:
        if not is_own(reference):
            return
        held = self.code.get(f"{kind} {name_in(reference)}")
        if held is not None and _named.get(reference) == held:
            return
        if not self.trust:
            what = f"it names code of the user's own, {kind} {show(reference)}, which is not run"
            raise Untrusted(self.where, what, "read that code, then add --trust to run it")
        content = _content(reference, self.where)
        if content is None:
            return
        if hashlib.sha256(content).hexdigest() != held:
            what = f"the code of {kind} {name_in(reference)} is not what it was made with"
            raise UserError(self.where, what, "run the same experiment again with --overwrite")
        if is_file(reference):
            receive([(reference, content)])  # what is run is what was looked at, however it changes


_named: dict[str, str] = {}  # the SHA-256 of the code that was run, by how it was referred to
_sources: dict[type, SourceFile] = {}
_run: set[str] = set()  # the files that were run, or are being run
_sent: dict[str, bytes] = {}  # files of another machine, by their paths there


def _content(reference: str, where: str) -> bytes | None:
    """Return the file that a reference's class is in; None where only importing it would tell."""
    if is_file(reference):
        return _read(Path(reference), where)
    module, _, name = reference.partition(":")
    _look_here_last()
    spec = spec_of(module)
    try:
        content = Path((spec and spec.origin) or "").read_bytes()
        classes = {part.name for part in ast.parse(content).body if isinstance(part, ast.ClassDef)}
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return content if name in classes else None


def spec_of(module: str) -> ModuleSpec | None:
    """Return where a module is, without importing the packages that it is in."""
    spec, path = None, None
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:count]), path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    return spec


def source_of(cls: type) -> SourceFile | None:
    """Return where a class comes from, None for one of gdcli's."""
    return _sources.get(cls)


def first_line(cls: type) -> str:
    """Return the first line of the docstring of a class's file."""
    document = sys.modules[cls.__module__].__doc__ or cls.__name__
    return document.strip().partition("\n")[0].rstrip(".")


def receive(files: Iterable[tuple[str, bytes]]) -> None:
    """Take files as they are elsewhere, in the place of what lies at their paths here."""
    _sent.update(files)


def find(reference: str, contract: type, where: str) -> type[Any]:
    """Return the class that a reference to the user's own code means.

    Raises UserError, naming `where`, for what is not there; the file and the line for what is
    wrong in it.
    """
    check(reference, where)
    process.divert()
    if is_file(reference):
        content = _read(Path(reference), where)
        found = _noted(only_class(run(reference, content), contract), name_in(reference), content)
    else:
        module, _, name = reference.partition(":")
        found = imported(module, name, contract, name_in(reference), where)
    _named[reference] = _sources[found].sha256
    return found


def holds(file: str, contract: type, where: str) -> bool:
    """Return whether a file, which is run, has a class of a contract; raises UserError."""
    process.divert()
    return bool(classes_in(run(file, _read(Path(file), where)), contract))


def imported(module: str, attribute: str, contract: type, name: str, where: str) -> type[Any]:
    """Return a class of a module, or the only one of its contract where none is named."""
    _look_here_last()
    _watch_ends()
    process.divert()
    try:
        held = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        what = f"{show(module)} cannot be imported: {in_line(error)}"
        raise UserError(where, what, "install it, or mend it") from error
    found = getattr(held, attribute, None) if attribute else only_class(held, contract)
    if not inspect.isclass(found) or not issubclass(found, contract) or inspect.isabstract(found):
        what = f"{show(module)} has no {word_of(contract)} {show(attribute)}"
        fix = "give package.module:Class"
        if any(one.__module__.startswith("torch.optim") for one in getattr(found, "__mro__", ())):
            what = f"{show(attribute)} is an optimizer of torch's kind, not of gdcli's"
            fix = "write its steps as a method: gdcli new method NAME"
        raise UserError(where, what, fix)
    check_class(found)
    file = Path(sys.modules[found.__module__].__file__ or "")
    return _noted(found, name, file.read_bytes() if file.is_file() else b"")


def _look_here_last() -> None:
    """Let modules of the working directory be imported; it hides nothing that is installed."""
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def _noted(cls: type[Any], name: str, content: bytes) -> type[Any]:
    file = sys.modules[cls.__module__].__file__ or ""
    _sources[cls] = SourceFile(name, file, hashlib.sha256(content).hexdigest())
    return cls


@cache
def _watch_ends() -> None:
    """Let nothing that code of the user's own calls end this process as if all were done.

    os._exit asks nobody: it would end a run, without results, with whatever code it is given.
    """
    process, leave = os.getpid(), os._exit

    def watched(name: str, end: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
        def ended(*arguments: Any) -> NoReturn:
            caller: FrameType = sys._getframe(1)  # noqa: SLF001 -- whose line it is
            while _is_of(caller, "os") and caller.f_back:  # os.execvp calls os.execv
                caller = caller.f_back
            if os.getpid() != process or _is_of(caller, "gdcli"):  # who was forked off may end
                end(*arguments)
            place = f"{shown(caller.f_code.co_filename)}:{caller.f_lineno}"
            line = f"error: {place}: os.{name} ends gdcli in the middle; raise an exception instead"
            with suppress(OSError):
                os.write(2, f"{line}\n".encode(errors="backslashreplace"))
            leave(1)

        return ended

    systems = [m for m in (os, sys.modules.get("posix"), sys.modules.get("nt")) if m is not None]
    for name in ("_exit", "execv", "execve"):
        end = watched(name, getattr(os, name))
        for module in systems:
            setattr(module, name, end)
    for name in ("chdir", "fchdir"):
        if hasattr(os, name):
            setattr(os, name, _staying(name, getattr(os, name)))


def _staying(name: str, move: Callable[..., None]) -> Callable[..., None]:
    """Return what moves to another working directory, but for the user's own lines.

    gdcli's paths, as that of the results, count from the one it was started in.
    """

    def moved(*arguments: Any) -> None:
        code = sys._getframe(1).f_code.co_filename  # noqa: SLF001 -- whose line it is
        if code in _run or code in {source.file for source in _sources.values()}:
            fix = "use absolute paths, or contextlib.chdir"
            raise RuntimeError(f"os.{name} moves the place that gdcli's paths count from; {fix}")
        move(*arguments)

    return moved


def _is_of(frame: FrameType, package: str) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == package


@cache  # the same content is the same class, however often it is asked for
def run(reference: str, content: bytes) -> ModuleType:
    """Return the module that running a file of this content makes; raises UserError."""
    try:
        code = compile(content, reference, "exec", dont_inherit=True)
    except SyntaxError as error:
        where = f"{shown(reference)}:{error.lineno or 1}"
        raise UserError(where, f"it is not Python: {error.msg}", "correct the file") from None
    except (ValueError, RecursionError, MemoryError) as error:
        what = f"it is not Python: {in_line(error)}"
        raise UserError(f"{shown(reference)}:1", what, "correct the file") from None
    # Under a name that nothing can import.
    module = ModuleType(f"{Path(reference).stem}@{hashlib.sha256(content).hexdigest()[:12]}")
    module.__file__ = reference
    sys.modules[module.__name__] = module  # dataclasses look their annotations' names up there
    lines = content.decode("utf-8", "replace").splitlines(keepends=True)
    linecache.cache[reference] = (len(content), None, lines, reference)
    _watch_ends()
    _run.add(reference)
    try:
        with redirect_stdout(sys.stderr):  # stdout is for results, which a program may read
            exec(code, vars(module))  # noqa: S102 -- to run the user's file is what was asked for
    except (KeyboardInterrupt, RunError):
        raise
    except BaseException as error:
        del sys.modules[module.__name__]
        where = error_place(error, {reference}) or f"{shown(reference)}:1"
        raise UserError(where, f"running it raised {in_line(error)}", "correct the file") from error
    return module


def content_of(source: SourceFile) -> bytes:
    """Return the file of a source; raises UserError if it is no longer what was run."""
    content = _read(Path(source.file), source.name)
    if hashlib.sha256(content).hexdigest() != source.sha256:
        what = "it was changed while the run began"
        raise UserError(shown(source.file), what, "give the same command again")
    return content


def fault_of(error: BaseException) -> UserError | None:
    """Return an exception as a mistake in the user's own code that raised it, None of others."""
    where = error_place(error, {source.file for source in _sources.values()}) or _called(error)
    return (
        UserError(where, in_line(error), "mend it, or see what gdcli check says") if where else None
    )


def _called(error: BaseException) -> str:
    """Return the place of the user's own method that cannot be called as gdcli calls it, or ""."""
    text = said(error).removeprefix("TypeError: ") if isinstance(error, TypeError) else ""
    for cls, source in reversed(_sources.items()):  # the latest of a name
        name, called, _ = text.removeprefix(f"{cls.__qualname__}.").partition("(")
        code = getattr(getattr(cls, name, None), "__code__", None)
        if called and code is not None and text.startswith(f"{cls.__qualname__}.{name}() "):
            return f"{shown(source.file)}:{code.co_firstlineno}"
    return ""


def _read(file: Path, where: str) -> bytes:
    if str(file) in _sent:
        return _sent[str(file)]
    given = show(shown(file))
    try:
        return door.given_content(file, where, "give the path of a Python file")
    except UserError as error:
        raise UserError(where, f"{given}: {error.what}", error.fix) from None
