"""A play in a real database takes the course of the same play in memory, and its witnesses see what is stored."""

import sqlite3
from dataclasses import replace

import pytest

from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.virtual_time import run
from tests.simulation.checkers import broken, check
from tests.simulation.edited_runs import small
from tests.simulation.filed import Filed, at_once
from tests.simulation.freezing import frozen
from tests.simulation.play import play
from tests.simulation.process import BORN, Fates, Process
from tests.simulation.run_context import Stagehand, play_time
from tests.simulation.run_trace import Story
from tests.simulation.spec import Commits, Operator, Spec

LOST: dict[str, object] = {"do": "cut-after", "on": "changeos", "nth": [1]}
FAILS: dict[str, object] = {"do": "fail", "on": "changeos"}


def told(story: Story) -> list[tuple[str, str]]:
    """What the records say, in their order, but for times and the ids that differ."""
    return [(record.event.kind, getattr(record.event, "server_id", "")) for record in story.records]


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
    memory, filed = play(spec), play(replace(spec, filed=True))
    assert told(filed) == told(memory)
    assert {one: target.state for one, target in filed.targets.items()} == {
        one: target.state for one, target in memory.targets.items()
    }
    assert filed.deaths == memory.deaths
    assert check(filed) == []


def test_commits_that_fail_leave_nothing_torn() -> None:
    story = play(replace(small(LOST), filed=True, commits=Commits(lost=0.1, unknown=0.1), calm_at_s=600.0))
    assert story.facts["commit-lost"] + story.facts["commit-unknown"] > 0
    assert check(story) == []


def test_what_is_stored_otherwise_than_its_records_say_is_seen() -> None:
    async def altered() -> str:
        cloud = SimulatedCloud(small().scenario, BORN.timestamp(), play_time)
        fates = Fates(frozenset(), [], calm=True)
        stage = Stagehand(replace(small(), filed=True), cloud, lambda text: None, fates, RandomDraws(1))
        with at_once():
            filed = stage.filed = Filed(stage)
            process = Process(0, fates, stage.spec.clocks, 0.0, lambda text: None)
            stage.run = await frozen(stage, process, None)
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
    story = play(replace(small(), filed=True))
    story.torn.append("after process 1")
    assert [violation.evidence for violation in broken("I6", story)] == ["after process 1"]
