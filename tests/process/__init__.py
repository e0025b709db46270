"""Supervisor, generation and worker: decisions as tables, effects as real processes."""
