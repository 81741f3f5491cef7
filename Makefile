PYTHON ?= python

.PHONY: check format lint types test

check: lint types test  ## everything CI asks for

format:
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

lint:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m pyright --pythonpath $(shell command -v $(PYTHON))

test:
	$(PYTHON) -m pytest
