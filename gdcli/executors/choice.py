"""`--executor`: which executor computes a run's batches."""

from __future__ import annotations

import os
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gdcli.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gdcli.executors.cluster import Address
    from gdcli.executors.supervisor import Executor, Tally
    from gdcli.runs.options import RunOptions
    from gdcli.runs.run import Run

# Read when Ray is imported. It would tell of every worker that ends in a paragraph on stdout,
# whatever log_to_driver says; what matters of it is told in a line of our own.
QUIET = {"RAY_DEDUP_LOGS": "1", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}


def executor_of(options: RunOptions) -> Executor:
    """Return the executor that the options name; raises UserError where it cannot be."""
    if options.executor == "local":
        from gdcli.executors.local import local

        return local
    if find_spec("ray") is None:
        what = "ray is not installed"
        raise UserError("--executor", what, "pip install 'gdcli[ray]', or leave --executor out")
    from gdcli.executors.cluster import address_of

    return partial(_on_ray, address_of(options.ray_address, os.environ))


def _on_ray(
    address: Address, run: Run, todo: Sequence[int], tally: Tally, stopping: Callable[[], bool]
) -> None:
    os.environ.update(QUIET)
    # Here, since Ray takes a second to import and a run that is finished never comes here.
    from gdcli.executors.ray import on_ray

    on_ray(address, run, todo, tally, stopping)
