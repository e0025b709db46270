"""Channels in a Redis, tried with a real one."""
