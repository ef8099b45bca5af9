"""The Ray cluster that computes: where it is, and how this process joins it."""

from __future__ import annotations

import os
import signal
import socket
import threading
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gdcli.engine.environment import SETTINGS
from gdcli.errors import RunError, UserError
from gdcli.fields import show
from gdcli.runs.signals import SIGNALS, Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATIENCE = 5.0  # seconds for a connection to come about
LONGEST = 60.0  # seconds to become a driver of the cluster
FIX = "start one with `ray start --head`, or give its HOST:PORT"


@dataclass(frozen=True)
class Address:
    """Where a cluster is."""

    text: str  # HOST:PORT, or auto: the one that this machine is a node of
    said_by: str = "--ray-address"

    def error(self, what: str, fix: str = FIX) -> RunError:
        """Return the error of a cluster that cannot be joined."""
        return RunError(f"{self.said_by}: {what}; {fix}")

    def give_up(self) -> None:
        """End the process: Ray tries for ever to join what is no cluster, and heeds no signal."""
        what = f"no Ray cluster answered at {self.text} in {LONGEST:g} seconds"
        with suppress(OSError):  # nobody may listen any more
            os.write(2, f"error: {self.error(what)}\n".encode())
        os._exit(1)

    def knock(self) -> None:
        """Raise RunError unless somebody listens there: Ray itself would wait for minutes."""
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

    Raises UserError for another text, such as one that would have Ray start a cluster.
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
def joined(address: Address) -> Iterator[None]:
    """Be a driver of the cluster, whose tasks end with it; raises RunError where there is none."""
    address.knock()
    import ray

    watch = threading.Timer(LONGEST, address.give_up)
    watch.daemon = True
    watch.start()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        with warnings.catch_warnings(action="ignore"):  # of what Ray's next version will do
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
