"""Scripts that a contestant runs as a process of its own."""
