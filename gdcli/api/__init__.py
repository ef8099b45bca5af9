"""gdcli from Python: what `from gdcli import Experiment, run, load` gives."""
