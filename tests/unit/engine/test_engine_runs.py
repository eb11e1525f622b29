"""Whole runs over a small cloud: the ring from the first read to the last record."""

from dataclasses import replace

import pytest

from fleetos.model.journal.events import ChangeIntended
from fleetos.model.run import Outcome
from fleetos.model.states import Reason, RunState, TargetState
from tests.support.builders import STOPPED
from tests.support.clouds.small import LOST_AFTER, LOST_BEFORE, WriteResult, refused
from tests.unit.engine.harness import QUICK, EngineHarness

S = TargetState


async def test_one_server_from_end_to_end() -> None:
    harness = EngineHarness()
    progress = await harness.drive()
    assert progress.run.state is RunState.DONE
    target = harness.one()
    assert (target.state, target.disk, target.stopped_at) == (S.DONE, "disk-old", None)
    assert target.disk_after in harness.cloud.made
    assert [verb for verb, _ in harness.cloud.sent] == ["stop", "change"]
    way = list(dict.fromkeys(harness.watcher.states))
    # `ready` is passed through: the look that proves the stop is fresh enough for the submit.
    assert way == [S.WAITING, S.CHECKING, S.STOPPING, S.SUBMITTING, S.CHANGING, S.VERIFYING, S.DONE]


async def test_a_stopped_server_needs_no_stop() -> None:
    harness = EngineHarness(picture=STOPPED)
    await harness.drive()
    assert harness.states() == {S.DONE: 1}
    assert [verb for verb, _ in harness.cloud.sent] == ["change"]


async def test_fifty_servers_never_exceed_the_concurrency() -> None:
    harness = EngineHarness(50, replace(QUICK, concurrency=7))
    await harness.drive()
    assert harness.states() == {S.DONE: 50}
    assert harness.watcher.most_slots == 7
    assert harness.cloud.most_changing <= 7
    assert harness.sent("change") == 50
    assert set(harness.cloud.accepted.values()) == {1}


async def test_stops_go_out_together() -> None:
    harness = EngineHarness(40, replace(QUICK, concurrency=40))
    await harness.drive()
    assert harness.sent("stop") == 1
    assert harness.cloud.requests["job"] < 40 * 10


async def test_a_refused_batch_of_stops_is_split_until_the_one_culprit_is_held() -> None:
    harness = EngineHarness(8, replace(QUICK, concurrency=8))
    culprit = "server-0003"

    def picky(verb: str, server_ids: tuple[str, ...]) -> WriteResult | None:
        return refused("Ecs.0605") if verb == "stop" and culprit in server_ids else None

    harness.cloud.decides = picky
    await harness.drive()
    assert harness.states() == {S.DONE: 7, S.HELD: 1}
    assert harness.one(3).reason is Reason.STOP_REFUSED
    assert harness.one(3).stopped_at is None
    assert harness.cloud.accepted[culprit] == 0


@pytest.mark.parametrize("number", [1, 5])
async def test_a_change_whose_answer_was_lost_is_adopted(number: int) -> None:
    harness = EngineHarness(number)
    harness.cloud.reads_a_work = 4
    harness.cloud.results["change"].extend([LOST_AFTER] * number)
    await harness.drive()
    assert harness.states() == {S.DONE: number}
    assert set(harness.cloud.accepted.values()) == {1}
    assert harness.sent("change") == number
    assert not harness.one().unanswered
    assert harness.one().last_unanswered_at is None


async def test_a_change_that_was_not_delivered_is_sent_once_more() -> None:
    harness = EngineHarness()
    harness.cloud.results["change"].append(LOST_BEFORE)
    await harness.drive()
    assert harness.states() == {S.DONE: 1}
    assert (harness.sent("change"), harness.cloud.accepted["server-0001"]) == (2, 1)
    (attempt,) = harness.one().attempts
    assert (attempt.sends, attempt.resends, attempt.unanswered) == (2, 1, 1)
    assert harness.cloud.requests["traces"] == 1


async def test_after_two_resends_it_is_held_and_started_again() -> None:
    harness = EngineHarness()
    harness.cloud.results["change"].extend([LOST_BEFORE] * 5)
    await harness.drive()
    target = harness.one()
    assert (target.state, target.reason) == (S.HELD, Reason.OUTCOME_UNKNOWN)
    assert (harness.sent("change"), harness.sent("start")) == (3, 1)
    assert target.stopped_at is None
    assert target.keeps_claim


async def test_a_failed_change_is_tried_again_and_then_held() -> None:
    harness = EngineHarness()

    def fail(_: object) -> None:
        for work in harness.cloud.works.values():
            work.fails = work.fails or work.verb == "change"

    harness.watcher.act = fail
    await harness.drive()
    target = harness.one()
    assert (target.state, target.reason) == (S.HELD, Reason.ATTEMPTS_USED_UP)
    assert [one.outcome for one in target.attempts] == [Outcome.FAILED, Outcome.FAILED]
    assert harness.sent("change") == 2


async def test_a_fatal_refusal_starts_the_server_again() -> None:
    harness = EngineHarness()
    harness.cloud.results["change"].append(refused("Ecs.0314"))
    await harness.drive()
    target = harness.one()
    assert (target.state, target.reason, target.stopped_at) == (S.FAILED, Reason.REFUSED, None)
    assert [verb for verb, _ in harness.cloud.sent] == ["stop", "change", "start"]


async def test_throttled_writes_are_repeated_without_a_bound() -> None:
    harness = EngineHarness()
    harness.cloud.results["stop"].extend([refused("APIGW.0308", 429)] * 15)
    harness.cloud.results["change"].extend([refused("APIGW.0308", 429)] * 15)
    await harness.drive()
    assert harness.states() == {S.DONE: 1}
    assert (harness.sent("stop"), harness.sent("change")) == (16, 16)
    assert harness.one().refusals == 0


async def test_exhausted_permits_are_waited_for() -> None:
    harness = EngineHarness(12, replace(QUICK, concurrency=12))
    harness.cloud.permits, harness.cloud.refill = 0, 1
    await harness.drive()
    assert harness.states() == {S.DONE: 12}
    intents = sum(isinstance(event, ChangeIntended) for event in harness.events)
    assert intents == harness.sent("change") == 12


async def test_a_server_that_sweeps_omit_is_read_by_itself() -> None:
    harness = EngineHarness(3)
    harness.cloud.hidden = {"server-0002"}
    await harness.drive()
    assert harness.states() == {S.DONE: 3}
    assert harness.cloud.requests["server"] > 0


async def test_a_server_that_is_gone_fails_by_two_404s() -> None:
    harness = EngineHarness(2)
    harness.cloud.pictures["server-0001"] = None
    await harness.drive()
    assert harness.states() == {S.DONE: 1, S.FAILED: 1}
    assert harness.one(1).reason is Reason.GONE
    assert harness.cloud.requests["server"] >= 2
    assert all("server-0001" not in ids for _, ids in harness.cloud.sent)


async def test_a_foreign_change_is_held_before_anything_is_sent() -> None:
    harness = EngineHarness()
    harness.cloud.pictures["server-0001"] = replace(STOPPED, disk="disk-foreign")
    await harness.drive()
    assert (harness.one().state, harness.one().reason) == (S.HELD, Reason.FOREIGN_CHANGE)
    assert harness.cloud.sent == []


async def test_a_change_that_goes_on_too_long_is_held_and_pauses_the_run() -> None:
    harness = EngineHarness(2, replace(QUICK, concurrency=1, change_timeout_s=0.1))
    harness.cloud.reads_a_work = 100_000
    harness.cloud.pictures = dict.fromkeys(harness.cloud.pictures, STOPPED)
    progress = await harness.drive()
    assert (progress.run.state, progress.run.reason) == (RunState.PAUSED, Reason.TOO_MANY_OVERDUE)
    assert harness.states() == {S.HELD: 1, S.WAITING: 1}
    assert harness.one().overdue
    assert harness.one().keeps_claim
    # Who resumes it in spite of that is not stopped at once: the next server gets its turn.
    harness.cloud.reads_a_work = 2
    assert (await harness.drive()).run.state is RunState.DONE
    assert harness.states() == {S.HELD: 1, S.DONE: 1}
