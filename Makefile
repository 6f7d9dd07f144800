# Every target makes .venv by itself: with uv where it is installed, with python3 -m venv otherwise.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.PHONY: venv demo demo-dsr demo-two-box test test-vm vm-packages lab lint fuzz simulate simulate-storage bench docs clean packages

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	    uv venv --quiet --allow-existing --python '>=3.11' $(VENV) && uv pip install --quiet --python $(BIN)/python -e . --group dev; \
	else \
	    $(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another with PYTHON=") if sys.version_info < (3, 11) else None' && \
	    $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' && \
	    $(BIN)/python -m pip install --quiet -e . --group dev; \
	fi
	@touch $@

packages: ## the Debian packages that the tests and the demo use, those that are missing
	@sh tests/packages.sh $(SUDO)

demo: venv ## two DNS nodes, a client, faults: about a minute
	@sh tests/packages.sh $(SUDO) -- iproute2 unbound || true
	@$(BIN)/pyvrrp demo dns-active-backup

demo-dsr demo-two-box: demo-%: venv ## two balancers and three DNS servers; two nodes that are both
	@sh tests/packages.sh $(SUDO) -- iproute2 unbound || true
	@$(BIN)/pyvrrp demo dns-$*

test: venv packages vm-packages ## unit, property, simulation, fuzz and lab tests, and the core of those in virtual machines
	@$(BIN)/python -m pytest -q -n 2 --ignore=tests/lab --ignore=tests/vm
	@$(BIN)/python -m pytest -q -n 2 tests/lab
	@$(BIN)/python -m pytest -q -n 2 --maxschedchunk 1 tests/vm -m core

lab: venv packages ## the tests in network namespaces alone
	@$(BIN)/python -m pytest -q -n 2 tests/lab

test-vm: venv vm-packages ## all tests in virtual machines: real DRBD and NFS, real systemd
	@$(BIN)/python -m pytest -q -n 3 --maxschedchunk 1 tests/vm

vm-packages:
	@sh tests/packages.sh $(SUDO) -- qemu-system-x86 mmdebstrap e2fsprogs busybox-static cpio

lint: venv
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

FUZZ_SECONDS ?= 60

fuzz: venv ## every parser for FUZZ_SECONDS; tests/fuzz/fuzz.py --help has more
	@for each in packet configuration netlink control dns drbd http journal; do \
	    $(BIN)/python tests/fuzz/fuzz.py $$each --seconds $(FUZZ_SECONDS) || exit 1; done

SEEDS ?= 10000
FROM ?= 0

simulate: venv ## clusters that fail at random, SEEDS of them, the first one is FROM; docs/simulation.md
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $(FROM)

simulate-storage: venv ## DRBD pairs that fail at random, SEEDS of them, the first one is FROM
	@$(BIN)/python -m tests.simulation.storage --seeds $(SEEDS) --from $(FROM)

bench: venv packages
	@for each in core virtual_routers failover dataplane; do echo "== $$each"; $(BIN)/python benchmarks/$$each.py || exit 1; done

docs: venv ## the pages that are made from the code
	@$(BIN)/python -m pyvrrp.config.tables > docs/keywords.md
	@$(BIN)/python -m tests.metrics_page

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
