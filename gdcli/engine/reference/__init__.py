"""The plain way to train, which every faster way must agree with: `--engine reference`."""
