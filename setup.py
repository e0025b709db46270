"""The one thing that setup.cfg has no place for: the C file. Everything else stands there.

Optional: where it cannot be compiled, the installation goes on without it and without a word, and its twin in Python
does the work (runner/front/twins.py). A table in pyproject.toml could name it, too, but wants all metadata beside it.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension("runner.wire._parameters", ["runner/wire/_parameters.c"], optional=True, py_limited_api=True)
    ]
)
