"""runner.batch: each module has its tests in a file of its name; `endpoint` is what they send to."""
