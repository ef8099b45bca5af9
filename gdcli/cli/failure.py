"""How a process of gdcli begins, what is said when a command fails, and the exit code."""

from __future__ import annotations

import errno
import io
import os
import re
import select
import signal
import sys
import traceback
from contextlib import suppress
from importlib.abc import MetaPathFinder
from pathlib import Path

from typer import TyperException

from gdcli.catalog.user_code import fault_of
from gdcli.errors import GdcliError, RunError, UserError
from gdcli.experiment.grid import Axes
from gdcli.experiment.training import Training
from gdcli.fields import options_of, said, shortened
from gdcli.process import SETTINGS, lacks_memory, listen
from gdcli.report.console import literal
from gdcli.words import option_meant

# Bytes of address space that loading a library takes, as measured, and a tenth more.
NEEDED = {"numpy": 90 * 2**20, "pandas": 340 * 2**20, "torch": 700 * 2**20}


def prepare_process() -> None:
    """Prepare the process, before anything heavy is imported."""
    os.environ.update(SETTINGS)
    listen()
    _watch_address_space()
    for descriptor in (0, 1, 2):
        _reopen(descriptor)
    if sys.__stdout__ is None:
        sys.stdout = os.fdopen(1, "w")
    if sys.__stderr__ is None:
        sys.stderr = os.fdopen(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the encoding of the terminal lacks is written as \x..: no error.
            stream.reconfigure(errors="backslashreplace")


class _AddressSpace(MetaPathFinder):
    """Refuses to load a library for which a limit of the address space leaves too little.

    The library itself would end the process, with a line of its own or none.
    """

    def __init__(self, limit: int) -> None:
        """Take the limit in bytes."""
        self.limit = limit

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Find nothing; raises RunError where the library does not fit."""
        need = NEEDED.get(fullname, 0)
        left = self.limit - _used() if need else 0
        if left < need:
            what = f"{fullname} needs {need >> 20} MB to load, and {max(left, 0) >> 20} are left"
            raise RunError(f"memory: {what}; raise the limit of the address space (ulimit -v)")


def _watch_address_space() -> None:
    """Watch what is imported, where the address space has a limit."""
    limit = address_space()
    watched = any(isinstance(finder, _AddressSpace) for finder in sys.meta_path)
    if limit is not None and Path("/proc/self/statm").exists() and not watched:
        sys.meta_path.insert(0, _AddressSpace(limit))


def address_space() -> int | None:
    """Return the limit of this process's address space in bytes, None where there is none."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def _used() -> int:
    """Return the bytes of address space that this process has taken."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _reopen(descriptor: int) -> None:
    """Open a closed standard stream on the null device, so that no file takes its number."""
    try:
        os.fstat(descriptor)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one


def reader_gone() -> bool:
    """Return whether stdout or stderr is a pipe that nobody reads any more."""
    poll = select.poll()
    for descriptor in (1, 2):
        poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def abandon_output() -> None:
    """Discard what is not written yet: Python would complain of it at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)


FULL = "memory: there is not enough for this"
TEMPORARY = "a temporary file"
WIDEST = 200  # characters of an error's line
EXTRA = re.compile(r"extra arguments?(?:\(s\))? \((.*)\)", re.DOTALL)
PLAIN = 40  # those of a word that is left as it is
BROKEN_PIPE = 141  # as the shell reports a program whose reader has gone: 128 + SIGPIPE


def report(error: BaseException, *, verbose: bool, resumes: bool = True) -> int:
    """Print an error in one line, several mistakes in one each; return the exit code.

    `resumes` says whether the command, given again, goes on where it was interrupted.
    """
    if isinstance(error, SystemExit):  # of a user's file, which ended nothing but its own work
        error = fault_of(error) or error
    # Rich ends the program when nobody reads what it prints.
    if isinstance(error, SystemExit) or (isinstance(error, BrokenPipeError) and reader_gone()):
        abandon_output()
        return BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt):
        kept = ": what is finished is kept; the same command goes on from there" if resumes else ""
        _say(f"stopped{kept}")
        return 128 + getattr(error, "number", signal.SIGINT)
    if verbose and not isinstance(error, GdcliError | TyperException):
        traceback.print_exception(error)
    if not isinstance(error, GdcliError):
        error = fault_of(error) or error
    for line in dict.fromkeys(_lines(error)):
        _say(fitted(f"error: {line}"))
    if isinstance(error, GdcliError | TyperException):
        return error.exit_code
    given = isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG
    return UserError.exit_code if given else 1


def _say(line: str) -> None:
    with suppress(OSError):  # nobody may listen any more
        sys.stderr.write(f"{literal(line)}\n")


def fitted(line: str) -> str:
    """Return an error's line within `WIDEST` characters.

    First the longest words are shortened, which are paths and values; then what is wrong, then what
    to do.
    """
    line = literal(line)
    words = line.split(" ")
    while len(line) > WIDEST and len(longest := max(words, key=len)) > PLAIN:
        most = max(PLAIN, len(longest) - (len(line) - WIDEST))
        words[words.index(longest)] = shortened(longest, most)
        line = " ".join(words)
    if len(line) <= WIDEST:
        return line
    wrong, _, fix = line.rpartition("; ")
    fix = _cut(fix, WIDEST // 2)
    return f"{_cut(wrong, WIDEST - len(fix) - 2)}; {fix}" if wrong else fix


def _cut(text: str, most: int) -> str:
    """Return the whole words that a text begins with."""
    return text if len(text) <= most else f"{text[: most - 4].rpartition(' ')[0]} ..."


def _lines(error: BaseException) -> tuple[str, ...]:
    match error:
        case GdcliError():
            return error.lines
        case TyperException():
            return (_usage(error),)
        case Exception() if lacks_memory(error):
            return (f"{FULL}; {_room()}",)
        case OSError(errno=int()):
            return (_environment(error),)
        case ImportError():
            return (_not_loaded(error),)
    fix = "run with --verbose for the traceback"
    return (f"internal error: {said(error)}; {fix}",)


def _room() -> str:
    """Return what helps where memory does not suffice, whatever the command."""
    if address_space() is not None:
        return "raise the limit of the address space (ulimit -v), or compute less at once"
    return "free some memory, or make the problem or its batches smaller"


def _not_loaded(error: ImportError) -> str:
    """Return the line of a library that is not there, or cannot be loaded."""
    what = " ".join(str(error).split())
    if any(word in what for word in ("failed to map", "annot allocate", "out of memory")):
        fix = "free some memory, or raise the limit of it (ulimit -v)"
        return f"memory: there is not enough to load a library: {what}; {fix}"
    name = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and name and name != "gdcli":
        fix = "install gdcli and what it needs again: pip install gdcli"
        return f"{name}: it is not installed where {sys.executable} looks; {fix}"
    return f"{name or 'a library'}: it cannot be loaded: {what}; install it again"


def _environment(error: OSError) -> str:
    what = (error.strerror or "it failed").lower()
    fixes = {
        errno.ENOSPC: "free some space, then give the same command",
        errno.EDQUOT: "free some space, then give the same command",
        errno.EIO: "give the same command again",
        errno.EISDIR: "remove it, then give the same command",
        errno.ENAMETOOLONG: "give a shorter path",
        errno.EFBIG: "raise the limit of a file's size (ulimit -f), then give the same command",
        errno.EMFILE: "raise the limit of open files (ulimit -n), or give fewer --workers",
        errno.ENFILE: "close some programs: the whole system has too many files open",
        errno.EROFS: "give another --output: this one can only be read",
        errno.ENOMEM: "free some memory, then give the same command",
        errno.EAGAIN: "raise the limit of processes (ulimit -u), or give fewer --workers",
    }
    # Whatever writes a file names it; what is printed has no name.
    of_stdout = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EISDIR}
    where = error.filename or ("stdout" if error.errno in of_stdout else "the system")
    fix = fixes.get(error.errno or 0, "give another --output")
    if isinstance(where, int):  # a file without a name
        where = TEMPORARY
    if error.errno == errno.ENOENT and what.startswith("no usable temporary directory"):
        return "TMPDIR: no folder for temporary files can be written; set TMPDIR to one that can"
    if error.errno in (errno.ENOSPC, errno.EDQUOT) and _is_temporary(str(where)):
        fix = "free some space there, or set TMPDIR to another folder"
    if error.errno == errno.ENOENT and error.filename and not _parent_exists(str(where)):
        fix = "its folder was removed meanwhile: give the same command again"
    return f"{where}: {what}; {fix}"


def _is_temporary(where: str) -> bool:
    import tempfile

    return where == TEMPORARY or Path(where).is_relative_to(tempfile.gettempdir())


def _parent_exists(where: str) -> bool:
    try:
        return Path(where).parent.is_dir()
    except (OSError, ValueError):
        return False


def _usage(error: TyperException) -> str:
    """Return the line of an error that Typer found: an unknown option, an argument too many."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "gdcli"
    option = getattr(error, "option_name", "")
    message = error.message.rstrip(".")
    if not option:
        extra = EXTRA.search(message)
        numbers = extra and any(map(str.isdigit, extra[1]))
        fix = "write numbers and lists without blanks: 1000, 0.1,0.2" if numbers else ""
        return f"{path}: {message[:1].lower()}{message[1:]}; {fix or f'see: {path} --help'}"
    if context:
        names = {
            name.strip("-"): name for p in context.command.get_params(context) for name in p.opts
        }
        given = option.strip("-")
        if given in {**options_of(Axes), **options_of(Training)}:
            return f"{option}: there is no such option; gdcli run has it, {path} does not"
        hint = option_meant(given, names) or f"see: {path} --help"
        return f"{option}: there is no such option; {hint}"
    what = message.removeprefix(f"Option {option!r} ")
    fix = f"write {option} VALUE" if "requires" in what else f"write {option} alone"
    return f"{option}: it {what}; {fix}"
