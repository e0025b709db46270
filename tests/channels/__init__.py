"""runner.channels: each module has its tests in a file of its name."""
