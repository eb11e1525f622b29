# The commands of CONTRIBUTING.md under short names. Each line works by itself too: `just` is not needed for anything.
# To have it: `pipx install rust-just`, or your system's package `just`.

# List the recipes.
default:
    @just --list

# Make .venv, install the project and its tools into it, set up the git hooks.
setup:
    python3 -m venv .venv
    .venv/bin/pip install -q -e '.[dev]'
    .venv/bin/pre-commit install

# Run the fast tests on all cores.
test:
    .venv/bin/pytest -q -m "not slow"

# Run the tests of one file, folder or name: just test-one tests/unit/rules
test-one PATH:
    .venv/bin/pytest -q {{PATH}}

# Judge the code without running it: style, types, direction of imports, generated pages.
lint:
    scripts/lint

# Check everything: the linters, all tests, the proofs, 400 simulated worlds. Takes long.
check: lint
    .venv/bin/pytest -q
    .venv/bin/pytest -q -m proof
    env FLEETOS_TEST_EXAMPLES=5 .venv/bin/pytest -q -m hypothesis
    .venv/bin/python -m tests.simulation --seeds 400 --from 1

# Report which lines of the program the tests run. Takes twice as long as the tests.
coverage:
    .venv/bin/coverage erase
    .venv/bin/coverage run -m pytest -q
    .venv/bin/coverage combine -q
    .venv/bin/coverage report

# Check the last commit as CI does, in clones of it.
ci:
    .ci/run

# Play one simulated world and print its trace.
sim SEED:
    .venv/bin/python -m tests.simulation --seed {{SEED}}

# Put deliberate faults into copies of the source; each must be found.
mutations *ARGS:
    .venv/bin/python -m tests.simulation.mutations {{ARGS}}

# Change two hundred servers of a new simulated world.
demo:
    .venv/bin/fleetos sim reset
    .venv/bin/fleetos apply plans/demo.yaml --yes --new-run

# Generate the pages that are made from the code, and test all pages.
docs:
    .venv/bin/python -m fleetos.views.state_diagram docs/architecture.md
    .venv/bin/python -m fleetos.cli.reference docs/reference/commands.md
    .venv/bin/pytest -q tests/test_readme.py tests/test_justfile.py tests/unit/test_docs_architecture.py tests/unit/test_docs_safety_protocol.py tests/cli/test_pages.py
