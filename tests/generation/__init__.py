"""Tests of the process that imports the application."""
