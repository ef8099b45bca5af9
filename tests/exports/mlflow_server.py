"""A real MLflow server on this machine, with a database of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 120  # seconds; a first start makes the database's tables


@contextmanager
def server(command: str, folder: Path) -> Iterator[str]:
    """Start the server that `command` is, and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    place = ["--host", "127.0.0.1", "--port", port, "--workers", "1"]
    store = ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "artifacts"]
    # Its Python is another: what is on our path would be in its way.
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONPATH"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [command, "server", *place, *store],
            cwd=folder,
            env={**environment, "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(process, f"http://127.0.0.1:{port}/health", folder)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, folder: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            with urlopen(address, timeout=5):  # noqa: S310 -- our own server
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise AssertionError((folder / "log").read_text())
