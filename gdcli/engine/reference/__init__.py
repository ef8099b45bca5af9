"""The plain way to train, which every faster way must agree with: `--engine reference`.

One trial at a time, by autograd.
It may import gdcli/engine's data, plan, layers and records.
"""
