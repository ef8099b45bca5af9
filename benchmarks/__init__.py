"""Speed and memory beside other tools, measured in one run."""
