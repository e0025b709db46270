"""The tests mirror runner/: tests/wire/test_fastcgi.py is about runner/wire/fastcgi.py; support/ holds their rig.

Law: `make test` has two processes share them, a file to each, so nobody has a fixed port or path outside a folder of
his own, or expects to find the machine idle.
"""
