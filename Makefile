# make install   the environment .venv in this checkout, with everything in it
# make demo      napari with the plugin: a simulated acquisition, reconstructed live and compared
# make test      static checks and all tests
# make lint      static checks only
# make test-pyqt6   the tests of the docks with PyQt6 in the place of PySide6, in .venv-pyqt6
# make format    let ruff put the sources in order
# PYTHON=...     the interpreter that makes the environment (3.11 or newer)

PYTHON ?= python3
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := install
.PHONY: install demo test test-pyqt6 lint format clean

ifeq ($(OS),Windows_NT)
SYSTEM := Windows
BIN := .venv/Scripts
else
SYSTEM := $(shell uname -s)
BIN := .venv/bin
endif
STAMP := .venv/installed.stamp

# One torch for all Linux machines without an NVIDIA GPU; the newest elsewhere.
ifeq ($(SYSTEM)$(shell command -v nvidia-smi 2>/dev/null),Linux)
TORCH := torch==2.13.0
else
TORCH := torch
endif

# A Linux machine without a screen gets a virtual one, and the demo ends with a picture of it.
ifeq ($(SYSTEM)$(DISPLAY)$(WAYLAND_DISPLAY),Linux)
DEMO := xvfb-run -a -s "-screen 0 1920x1200x24" $(BIN)/lossguide demo --screenshot demo.png
else
DEMO := $(BIN)/lossguide demo
endif

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "napari-lossguide needs Python 3.11 or newer, " + sys.executable + " is " + sys.version.split()[0] + "; choose another with: make install PYTHON=python3.12")'
	.ci/system-libraries
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --progress-bar off "$(TORCH)"
	$(BIN)/python -m pip install --quiet --progress-bar off --editable ".[pyside6,demo,test,dev]"
	@touch $@

demo: install
	$(DEMO)

test:
	@.ci/tests

test-pyqt6:
	@.ci/tests-pyqt6

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/npe2 validate src/napari_lossguide/napari.yaml

format: install
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf .venv .venv-pyqt6 .pytest_cache .ruff_cache .mypy_cache dist build
