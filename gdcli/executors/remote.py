"""What a node of a cluster does: one batch of a run that it has only been told of."""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdcli.catalog.user_code import content_of, receive
from gdcli.errors import GdcliError, RunError
from gdcli.experiment.toml import dump, loads
from gdcli.runs.options import RunOptions
from gdcli.runs.run import Run
from gdcli.runs.spec import differences, sources_of

if TYPE_CHECKING:
    from gdcli.runs.store import Shard


@dataclass(frozen=True)
class Order:
    """A run as a node is told of it, which need not see its folder."""

    experiment: str  # as TOML
    device: str
    spec_id: str
    directory: Path  # the working directory, from which relative paths to data count
    code: tuple[tuple[str, bytes], ...]  # the user's own files, which a node need not see either


@dataclass(frozen=True)
class Refusal:
    """A node's word that it would compute other bits: what they depend on there."""

    node: str
    spec: Mapping[str, Any]

    def error(self, run: Run) -> RunError:
        """Return what is to be said of it, with the keys that differ."""
        found = differences(run.store.spec, self.spec)
        what = f"node {self.node} would compute other bits than this machine: {found}"
        return RunError(f"{what}; make the two alike, or leave the node out of the cluster")


def order_of(run: Run) -> Order:
    """Return what a node must know of a run."""
    sources = sources_of(run.experiment).values()
    code = tuple((source.file, content_of(source)) for source in sources)
    return Order(dump(run.experiment), run.device, run.store.id, Path.cwd(), code)


def compute(order: Order, index: int, held: Shard | None) -> Shard | Refusal | RunError:
    """Return the shard of a batch, with `held` only its failed trials trained again.

    What the machine has against it is returned, not raised: as an exception it would come back
    in a wrapping of the cluster's own.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # called off in the middle, it is finished
    try:
        run = _run(order)
        if run.store.id != order.spec_id:
            return Refusal(platform.node(), run.store.spec)
        return run.compute(index, held, lambda _: None)
    except (GdcliError, OSError, MemoryError) as error:
        lines = error.lines if isinstance(error, GdcliError) else [str(error) or "out of memory"]
        return RunError(f"node {platform.node()}: {'; '.join(lines)}")


@lru_cache(maxsize=1)  # the tasks that a process is given are mostly of one run
def _run(order: Order) -> Run:
    with suppress(OSError):  # there, where the file system is shared
        os.chdir(order.directory)
    receive(order.code)
    # A node may itself be a task of a job array; the share is the driver's affair.
    options = RunOptions(device=order.device, shard="1/1")
    return Run(loads(order.experiment, Path("experiment.toml")), options)
