"""Where the command `gdcli` begins, and `python -m gdcli`."""

import gc
import sys

# `python -m gdcli` looks into the working directory before all else: what lies there, say numpy.py,
# is to hide nothing that is installed.
if __name__ == "__main__" and not sys.flags.safe_path:
    sys.path.append(sys.path.pop(0))

INTERRUPTED = 130
# New objects between two searches for garbage. Imports make many objects and little garbage: at
# Python's 700, and again at the exit, the searches were a tenth of a small command's time.
OBJECTS = 100_000


def main() -> int:
    """Run the command line and return its exit code."""
    gc.set_threshold(OBJECTS)
    try:
        from gdcli.cli.app import only_command  # noqa: PLC0415 -- long enough for a Ctrl-C

        return only_command()
    except KeyboardInterrupt:  # before there was anyone to report it
        return INTERRUPTED
    finally:
        gc.freeze()  # the process ends: nothing need be looked through once more


# Guarded: a worker process that is spawned imports this file again.
if __name__ == "__main__":
    sys.exit(main())
