"""Where the command `gdcli` begins, and `python -m gdcli`."""

import sys

INTERRUPTED = 130


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        from gdcli.cli.app import main as command_line  # noqa: PLC0415 -- long enough for a Ctrl-C

        return command_line()
    except KeyboardInterrupt:  # before there was anyone to report it
        return INTERRUPTED


# Guarded: a worker process that is spawned imports this file again.
if __name__ == "__main__":
    sys.exit(main())
