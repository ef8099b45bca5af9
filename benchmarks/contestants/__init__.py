"""One file for each way of doing the same training."""
