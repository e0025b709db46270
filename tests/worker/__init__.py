"""Tests of the process that answers."""
