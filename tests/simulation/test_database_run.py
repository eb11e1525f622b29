"""A play in a real database takes the course of the same play in memory, and its witnesses see what is stored."""

import sqlite3
from dataclasses import replace
from functools import partial

import pytest

from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.virtual_time import run
from tests.simulation.checkers import broken, check
from tests.simulation.database_run import DatabaseRun, at_once
from tests.simulation.edited_runs import small
from tests.simulation.freeze import frozen
from tests.simulation.process import Process, ProcessFaults
from tests.simulation.run_context import RunContext, play_time
from tests.simulation.run_trace import RunTrace
from tests.simulation.scenario_run import run_scenario
from tests.simulation.spec import Commits, Operator, Spec
from tests.simulation.spec_steering import BORN

pytestmark = pytest.mark.slow

LOST: dict[str, object] = {"do": "cut-after", "on": "changeos", "nth": [1]}
FAILS: dict[str, object] = {"do": "fail", "on": "changeos"}


def told(trace: RunTrace) -> list[tuple[str, str]]:
    """What the records say, in their order, but for times and the ids that differ."""
    return [(record.event.kind, getattr(record.event, "server_id", "")) for record in trace.records]


@pytest.mark.parametrize(
    "spec",
    [
        small(),
        small(LOST),
        replace(small(LOST), deaths=(9, 21, 40)),
        replace(small(FAILS), operator=Operator(retries=1)),
    ],
    ids=["plain", "lost", "dying", "retried"],
)
def test_a_play_in_a_file_is_the_play_in_memory(spec: Spec) -> None:
    memory, filed = run_scenario(spec), run_scenario(replace(spec, filed=True))
    assert told(filed) == told(memory)
    assert {one: target.state for one, target in filed.targets.items()} == {
        one: target.state for one, target in memory.targets.items()
    }
    assert filed.deaths == memory.deaths
    assert check(filed) == []


def test_commits_that_fail_leave_nothing_torn() -> None:
    trace = run_scenario(replace(small(LOST), filed=True, commits=Commits(lost=0.1, unknown=0.1), calm_at_s=600.0))
    assert trace.facts["commit-lost"] + trace.facts["commit-unknown"] > 0
    assert check(trace) == []


def test_what_is_stored_otherwise_than_its_records_say_is_seen() -> None:
    async def altered() -> str:
        cloud = SimulatedCloud(small().scenario, BORN.timestamp(), partial(play_time, BORN.timestamp()))
        process_faults = ProcessFaults(frozenset(), [], calm=True)
        context = RunContext(replace(small(), filed=True), cloud, lambda text: None, process_faults, RandomDraws(1))
        with at_once():
            filed = context.filed = DatabaseRun(context)
            process = Process(0, process_faults, context.spec.clocks, 0.0, lambda text: None)
            context.run = await frozen(context, process, None)
            assert not filed.torn()
            with sqlite3.connect(filed.path) as connection:
                connection.execute("UPDATE targets SET body = replace(body, 'waiting', 'checking')")
            connection.close()
            try:
                return filed.torn()
            finally:
                await filed.close()

    assert run(altered).startswith("stored otherwise than the records say: ")


def test_what_was_torn_after_a_process_breaks_an_invariant() -> None:
    trace = run_scenario(replace(small(), filed=True))
    trace.torn.append("after process 1")
    assert [violation.evidence for violation in broken("I6", trace)] == ["after process 1"]
