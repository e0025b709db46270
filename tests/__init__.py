"""The tests mirror runner/: tests/wire/test_fastcgi.py is about runner/wire/fastcgi.py; support/ holds their rig."""
