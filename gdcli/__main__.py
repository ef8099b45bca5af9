"""`python -m gdcli` is the command `gdcli`."""

import sys

from gdcli.cli.app import main

# Guarded: a worker process that is spawned imports this file again.
if __name__ == "__main__":
    sys.exit(main())
