"""A running Ray cluster, on which each batch is a task.

The nodes compute and this process stores, so that they need not share a file system.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
import warnings
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gdcli import __version__
from gdcli.datasets.contents import human
from gdcli.engine.estimate import stack_memory
from gdcli.errors import RunError, UserError
from gdcli.executors.local import compute, job_of
from gdcli.executors.supervisor import Executor, WorkerDied
from gdcli.fields import show
from gdcli.process import SETTINGS, SIGNALS, Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gdcli.executors.supervisor import RunMonitor
    from gdcli.runs.options import RunOptions
    from gdcli.runs.run import Run
    from gdcli.runs.store import Shard

PATIENCE = 5.0  # seconds for a connection to come about
LONGEST = 60.0  # seconds to become a driver of the cluster
FIX = "start one with `ray start --head`, or give its HOST:PORT"
AHEAD = 2  # tasks for each CPU of the cluster, that none waits for this process
# Read when Ray is imported. It would print a paragraph on stdout for every worker that ends,
# whatever log_to_driver says; the supervisor prints a line of its own.
QUIET = {"RAY_DEDUP_LOGS": "1", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}
# How Ray says, in the last lines of some traceback, that a node could not import the task.
LACKING = re.compile(r"(No module named|cannot import name|Can't get attribute) '\S+'")
DEATHS = {  # by the name of Ray's error
    "NodeDiedError": "its node ended",
    "ObjectLostError": "the node ended that held its result",
    "OutOfMemoryError": "its node was out of memory",
    "WorkerCrashedError": "its worker ended",
}


class Ray(Executor):
    """Computes each batch as a task of a Ray cluster that is there already.

    Ray is asked for no retries of its own: it would report none, and where memory is short it
    would retry without end. Ray is imported by `start` alone: it takes a second, and a run that is
    finished never comes there.
    """

    reads = frozenset({"ray_address"})
    owns = frozenset({"memory", "data", "fingerprint"})
    attempts = 4  # as many as Ray's own default

    def __init__(self, options: RunOptions) -> None:
        """Check that Ray is installed, and the address."""
        super().__init__(options)
        if find_spec("ray") is None:
            what = "ray is not installed"
            raise UserError("--executor", what, "pip install 'gdcli[ray]', or leave --executor out")
        self.address = address_of(options.ray_address, os.environ)
        self.stack = ExitStack()

    def start(self, run: Run, todo: Sequence[int], monitor: RunMonitor) -> None:
        """Join the cluster; tell whether any of its nodes could compute a batch."""
        super().start(run, todo, monitor)
        self.stack.enter_context(_joined(self.address))
        import ray

        self.ray, self.job, needs = ray, job_of(run, self.owns), _needs(run)
        self.task = ray.remote(max_retries=0, **needs)(compute)
        if not any(_has(node, needs) for node in ray.nodes()):
            wanted = f"a free CPU and {human(needs['memory'])} of memory"
            monitor.progress.note(f"waiting for a node with {wanted}: the cluster has none")

    def capacity(self) -> int:
        """Return as many units as keep the cluster busy."""
        return AHEAD * max(int(self.ray.cluster_resources().get("CPU", 0)), 1)

    def submit(self, index: int, held: Shard | None) -> Any:
        """Give the cluster a task."""
        return self.task.remote(self.job, index, held)

    def wait(self, units: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Return a task that has ended, if one does in time."""
        ended: Sequence[Any] = self.ray.wait([*units], timeout=seconds)[0]
        return ended

    def cancel(self, unit: Any) -> None:
        """Take back a task that has not begun; one that has ignores it."""
        self.ray.cancel(unit)

    def result(self, unit: Any) -> Shard | Exception:
        """Return what a task returned."""
        try:
            found: Shard | Exception = self.ray.get(unit)
        except self.ray.exceptions.RayError as error:
            names = [cls.__name__ for cls in type(error).__mro__]
            cause = next((text for name, text in DEATHS.items() if name in names), None)
            return WorkerDied(cause) if cause else _unexpected(error)
        return found

    def stop(self) -> None:
        """Leave the cluster, whose tasks end with that."""
        self.stack.close()


def _needs(run: Run) -> dict[str, int]:
    """Return what a node must have free for a batch."""
    memory = max(stack_memory(batch, sys.maxsize) for batch in run.batches)
    return {"num_cpus": 1, "num_gpus": int(run.device != "cpu"), "memory": memory}


def _has(node: dict[str, Any], needs: dict[str, int]) -> bool:
    """Return whether a node could ever compute a batch."""
    names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
    has = node["Resources"]
    return node["Alive"] and all(has.get(names[name], 0) >= n for name, n in needs.items())


def _unexpected(error: Exception) -> Exception:
    """Return an error that no batch is to blame for."""
    text = str(getattr(error, "cause", None) or error).strip()
    if lacking := LACKING.search(text):
        what = f"a node of the cluster has another gdcli, or none ({lacking[0]})"
        return RunError(f"{what}; install this one there: gdcli {__version__}")
    return RuntimeError(f"on the cluster: {text.splitlines()[-1]}")


@dataclass(frozen=True)
class Address:
    """Where a cluster is."""

    text: str  # HOST:PORT, or auto: the one that this machine is a node of
    said_by: str = "--ray-address"

    def error(self, what: str, fix: str = FIX) -> RunError:
        """Return the error of a cluster that cannot be joined."""
        return RunError(f"{self.said_by}: {what}; {fix}")

    def give_up(self) -> None:
        """End the process: Ray never stops joining what is not a cluster, and ignores signals."""
        what = f"no Ray cluster answered at {self.text} in {LONGEST:g} seconds"
        with suppress(OSError):  # stderr may be closed
            os.write(2, f"error: {self.error(what)}\n".encode())
        os._exit(1)

    def knock(self) -> None:
        """Raise RunError unless a process listens there: Ray itself would wait for minutes."""
        if self.text == "auto":
            return
        place = urlsplit(f"//{self.text}")
        try:
            socket.create_connection((place.hostname, place.port or 0), PATIENCE).close()
        except OSError as error:
            what = f"there is no Ray cluster at {self.text}"
            raise self.error(f"{what} ({error.strerror or error})") from None


def address_of(given: str | None, environment: Mapping[str, str]) -> Address:
    """Return the address that --ray-address names, or RAY_ADDRESS; else auto.

    Raises UserError for any other text: Ray would start a cluster for some of them.
    """
    variable = environment.get("RAY_ADDRESS")
    by_variable = given is None and variable
    address = Address(
        given or variable or "auto", "RAY_ADDRESS" if by_variable else Address.said_by
    )
    if address.text != "auto" and not _is_place(address.text):
        what = f"{show(address.text)} is not HOST:PORT"
        raise UserError(address.said_by, what, "give HOST:PORT, such as 10.0.0.1:6379, or auto")
    return address


def _is_place(text: str) -> bool:
    try:
        place = urlsplit(f"//{text}")
        return bool(place.hostname and place.port) and place.netloc == text
    except ValueError:
        return False


@contextmanager
def _joined(address: Address) -> Iterator[None]:
    """Be a driver of the cluster, whose tasks end with the driver; raises RunError without one."""
    address.knock()
    os.environ.update(QUIET)
    import ray

    watch = threading.Timer(LONGEST, address.give_up)
    watch.daemon = True
    watch.start()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        with warnings.catch_warnings(action="ignore"):  # on changes in Ray's next version
            ray.init(
                address.text,
                log_to_driver=False,
                logging_level="CRITICAL",
                runtime_env={"env_vars": SETTINGS},
            )
    except SystemExit:  # Ray's own answer to SIGTERM
        raise Interrupted(signal.SIGTERM) from None
    except Exception as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise address.error(f"the Ray cluster cannot be joined: {what}") from error
    finally:
        watch.cancel()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()
