"""Figures, not claims: run with python -m tests.benchmarks."""
