"""Bytes to events and back; no process, no socket."""
