# Two commands that need nothing prepared, on Debian or Ubuntu:
#
#     make serve      the example application on http://127.0.0.1:8000; edit app_example/app.py and reload the page
#     make test       linter, types and all tests, behind a real nginx and a real Apache
#
# and three for a longer look: `make stress` (race loops, minutes), `make bench` (figures), `make autobahn` (WebSockets).
# `make clean` forgets it all.
# Which interpreter: `make PYTHON=/usr/bin/python3.12 test`. More options for the example: `make serve ARGS='--debug'`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:

VENV := .venv
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# Run each to believe it: a version manager's shim may be on the PATH and refuse.
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$each" -c '$(NEW_ENOUGH)' 2>/dev/null && echo "$$each" && break; done)

# What decides how the installation looks; the sources themselves are read in place.
INSTALLED := setup.cfg setup.py pyproject.toml runner/wire/_parameters.c

.PHONY: serve test stress autobahn bench clean compiler web-servers

serve: $(VENV)/serve.stamp
	cd app_example && exec ../$(VENV)/bin/runner serve app:main --mount /jsonrpc/batch=app:batch \
		--mount /live=runner.channels:endpoint $(ARGS)

test: $(VENV)/test.stamp web-servers
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

stress: $(VENV)/test.stamp web-servers
	$(VENV)/bin/python -m pytest -m stress $(ARGS)

# WSTEST=/path/to/wstest is the Autobahn test suite's client, which only Python 2.7 can run; CASES="9.* 12.1.1" chooses.
autobahn: $(VENV)/test.stamp
	WSTEST='$(WSTEST)' $(if $(CASES),CASES='$(CASES)') $(VENV)/bin/python -m tests.autobahn

# LUA_BATCH_DIR=… is where lua-resty-jsonrpc-batch is (its lib/), for `bench ARGS=batch`; without it that is left out.
# uWSGI is Debian's, built for Debian's Python; `make PYTHON=/usr/bin/python3 clean bench` compares on the same interpreter.
bench: $(VENV)/bench.stamp web-servers
	@missing=()
	command -v wrk >/dev/null || missing+=(wrk)
	uwsgi --plugins python3 --version >/dev/null 2>&1 || missing+=(uwsgi-core uwsgi-plugin-python3)
	[ -z "$${LUA_BATCH_DIR:-}" ] || [ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] || \
		missing+=(libnginx-mod-http-lua lua-cjson)
	[ $${#missing[@]} = 0 ] || .ci/debian-packages "$${missing[@]}"
	$(VENV)/bin/python -m tests.benchmarks $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f runner/wire/_parameters*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/serve.stamp: $(INSTALLED) | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[fast,realtime]'
	touch $@

$(VENV)/test.stamp: $(INSTALLED) | $(VENV)/bin/python compiler
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[fast,titles,test]'
	touch $@ $(VENV)/serve.stamp

$(VENV)/bench.stamp: $(VENV)/test.stamp
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[fast,titles,test,bench]'
	touch $@

# Debian's python3 has no venv, and a bare machine no python3, until these packages are there.
$(VENV)/bin/python:
	@python='$(PYTHON)'
	[ -n "$$python" ] || { .ci/debian-packages python3 python3-venv || true; python=python3; }
	"$$python" -c '$(NEW_ENOUGH)' || { echo "No Python 3.11 or newer here ($$python is not):" \
		"install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	"$$python" -c 'import ensurepip' 2>/dev/null || .ci/debian-packages \
		"$$("$$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
	"$$python" -m venv --clear $(VENV)

# Serving goes without; the tests compare the C file with its twin in Python, and figures are taken with it.
compiler: | $(VENV)/bin/python
	@missing=()
	command -v cc >/dev/null || missing+=(gcc libc6-dev)
	headers=$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))')
	[ -e "$$headers/Python.h" ] || missing+=(lib$$(basename "$$headers")-dev)
	[ $${#missing[@]} = 0 ] || .ci/debian-packages "$${missing[@]}"

# Debian keeps servers in /usr/sbin, which an ordinary user's PATH leaves out. Apache's service is not installed, only its program.
web-servers:
	@PATH="$$PATH:/usr/sbin:/sbin"
	missing=()
	command -v nginx >/dev/null || missing+=(nginx)
	command -v apache2 >/dev/null || missing+=(apache2-bin)
	command -v cgi-fcgi >/dev/null || missing+=(libfcgi-bin)
	command -v chromium chromium-browser google-chrome >/dev/null || missing+=(chromium)
	command -v redis-server >/dev/null || missing+=(redis-server)
	command -v node >/dev/null || missing+=(nodejs)
	[ $${#missing[@]} = 0 ] || .ci/debian-packages "$${missing[@]}"
