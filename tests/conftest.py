"""What holds for every run of the tests: its workers, its garbage, and what each test costs."""

import gc
import os
import signal
import ssl
import sys
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import pytest

from fleetos.cloud import connect
from fleetos.cloud.http import transport
from tests.support import cost, fork_server

TESTS = Path(__file__).parent
# They start processes of the real command, wait for clouds and other clients, draw inputs at length, or play worlds.
SLOW_ROOMS = frozenset(
    TESTS / room for room in ("benchmarks", "cli", "fidelity", "hostile", "integration", "simulation")
)
WITHOUT_SLOW = "not slow"
STARTED_CPU_S = pytest.StashKey[float]()

# Under nohup, or in the background of a script, signals are ignored, and every process that a test starts would inherit
# that. A handler is not inherited.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Even where PYTHONDONTWRITEBYTECODE is set: else every worker of every run would rewrite the assertions of all modules.
sys.dont_write_bytecode = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of workers for `-n auto`, which pyproject.toml asks for."""
    chosen = config.option.keyword or config.getoption("lf", default=False)
    cores = len(os.sched_getaffinity(0))
    waits = config.option.markexpr != WITHOUT_SLOW
    return 0 if chosen else cost.number_of_workers(config.args, TESTS, cores, waits=waits)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """Collects with the garbage collector at rest; what came of it lives to the end and is kept out of its way."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what the fast tests would import and not run, unless it is asked for by name."""
    return True if config.option.markexpr == WITHOUT_SLOW and collection_path in SLOW_ROOMS else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every proof as slow, and each test of a slow room.

    `-m "not slow"` takes the place of the `-m "not proof"` in pyproject.toml.
    """
    for item in items:
        if item.get_closest_marker("proof") or not SLOW_ROOMS.isdisjoint(item.path.parents):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def trusted_authorities() -> Iterator[None]:
    """Read the certificates of this machine once: to read them takes longer than most tests that open a client."""
    read = transport.tls_context

    @cache
    def read_once(*, verify: bool) -> ssl.SSLContext:
        return read(verify=verify)

    def tls_context(authorities: str | None = None, *, verify: bool = True) -> ssl.SSLContext:
        return read_once(verify=verify) if authorities is None else read(authorities, verify=verify)

    with pytest.MonkeyPatch.context() as patch:
        for module in (connect, transport):
            patch.setattr(module, "tls_context", tls_context)
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[STARTED_CPU_S] = _cpu_s()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the processor time of a test to its report. Its end is left out: the last one ends what all have shared."""
    report = yield
    if call.when == "call":
        report.user_properties.append(("cpu_s", _cpu_s() - item.stash[STARTED_CPU_S]))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names slow tests that are not marked. A loaded machine makes tests slow, so that none fails for it."""
    if lines := cost.unmarked(_costs(terminalreporter)):
        terminalreporter.section(f"over {cost.SLOW_S:g} s of processor time and not marked slow")
        for line in lines:
            terminalreporter.line(line)


def _costs(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, float, bool]]:
    for reports in reporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "cpu_s" and report.when == "call":
                    yield report.nodeid, float(value), "slow" in report.keywords


def _cpu_s() -> float:
    """Return the processor time so far of this process, of its children that have ended, and of forked commands."""
    user, system, of_children, in_children, _ = os.times()
    return user + system + of_children + in_children + fork_server.ended_cpu_s()
