"""The store in memory: what it keeps, what is said to it, and the process."""
