PYTHON ?= $(if $(wildcard .venv/bin/python),.venv/bin/python,python)

.PHONY: check format lint types test setup

check: lint types test  ## everything CI asks for

setup:  ## a virtual environment with everything that `make check` needs
	python3 -m venv .venv
	.venv/bin/python -m pip install --upgrade 'pip>=25.1'
	.venv/bin/python -m pip install --editable '.[test]' --group lint

format:
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

lint:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m pyright --pythonpath $(shell command -v $(PYTHON))

test:  # the import directions are tests/test_architecture.py
	$(PYTHON) -m pytest
