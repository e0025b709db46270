"""Tests of the supervisor's process: what it decides, holds, binds and says."""
