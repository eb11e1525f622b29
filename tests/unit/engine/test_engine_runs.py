"""Whole runs over a small cloud: the ring from the first read to the last record."""

from dataclasses import replace

import pytest

from fleetos.model.journal.events import ChangeIntended
from fleetos.model.run import Outcome
from fleetos.model.states import Reason, RunState, TargetState
from tests.unit.engine.stage import LOST_AFTER, LOST_BEFORE, QUICK, Fate, Stage, refused
from tests.unit.model.samples import STOPPED

S = TargetState


async def test_one_server_from_end_to_end() -> None:
    stage = Stage()
    progress = await stage.drive()
    assert progress.run.state is RunState.DONE
    target = stage.one()
    assert (target.state, target.disk, target.stopped_at) == (S.DONE, "disk-old", None)
    assert target.disk_after in stage.cloud.made
    assert [verb for verb, _ in stage.cloud.sent] == ["stop", "change"]
    way = list(dict.fromkeys(stage.watcher.states))
    # `ready` is passed through: the look that proves the stop is fresh enough for the submit.
    assert way == [S.WAITING, S.CHECKING, S.STOPPING, S.SUBMITTING, S.CHANGING, S.VERIFYING, S.DONE]


async def test_a_stopped_server_needs_no_stop() -> None:
    stage = Stage(picture=STOPPED)
    await stage.drive()
    assert stage.states() == {S.DONE: 1}
    assert [verb for verb, _ in stage.cloud.sent] == ["change"]


async def test_fifty_servers_never_exceed_the_concurrency() -> None:
    stage = Stage(50, replace(QUICK, concurrency=7))
    await stage.drive()
    assert stage.states() == {S.DONE: 50}
    assert stage.watcher.most_slots == 7
    assert stage.cloud.most_changing <= 7
    assert stage.sent("change") == 50
    assert set(stage.cloud.accepted.values()) == {1}


async def test_stops_go_out_together() -> None:
    stage = Stage(40, replace(QUICK, concurrency=40))
    await stage.drive()
    assert stage.sent("stop") == 1
    assert stage.cloud.requests["job"] < 40 * 10


async def test_a_refused_batch_of_stops_is_split_until_the_one_culprit_is_held() -> None:
    stage = Stage(8, replace(QUICK, concurrency=8))
    culprit = "server-0003"

    def picky(verb: str, server_ids: tuple[str, ...]) -> Fate | None:
        return refused("Ecs.0605") if verb == "stop" and culprit in server_ids else None

    stage.cloud.decides = picky
    await stage.drive()
    assert stage.states() == {S.DONE: 7, S.HELD: 1}
    assert stage.one(3).reason is Reason.STOP_REFUSED
    assert stage.one(3).stopped_at is None
    assert stage.cloud.accepted[culprit] == 0


@pytest.mark.parametrize("number", [1, 5])
async def test_a_change_whose_answer_was_lost_is_adopted(number: int) -> None:
    stage = Stage(number)
    stage.cloud.reads_a_work = 4
    stage.cloud.fates["change"].extend([LOST_AFTER] * number)
    await stage.drive()
    assert stage.states() == {S.DONE: number}
    assert set(stage.cloud.accepted.values()) == {1}
    assert stage.sent("change") == number
    assert not stage.one().unanswered
    assert stage.one().last_unanswered_at is None


async def test_a_change_that_was_not_delivered_is_sent_once_more() -> None:
    stage = Stage()
    stage.cloud.fates["change"].append(LOST_BEFORE)
    await stage.drive()
    assert stage.states() == {S.DONE: 1}
    assert (stage.sent("change"), stage.cloud.accepted["server-0001"]) == (2, 1)
    (attempt,) = stage.one().attempts
    assert (attempt.sends, attempt.resends, attempt.unanswered) == (2, 1, 1)
    assert stage.cloud.requests["traces"] == 1


async def test_after_two_resends_it_is_held_and_started_again() -> None:
    stage = Stage()
    stage.cloud.fates["change"].extend([LOST_BEFORE] * 5)
    await stage.drive()
    target = stage.one()
    assert (target.state, target.reason) == (S.HELD, Reason.OUTCOME_UNKNOWN)
    assert (stage.sent("change"), stage.sent("start")) == (3, 1)
    assert target.stopped_at is None
    assert target.keeps_claim


async def test_a_failed_change_is_tried_again_and_then_held() -> None:
    stage = Stage()

    def fail(_: object) -> None:
        for work in stage.cloud.works.values():
            work.fails = work.fails or work.verb == "change"

    stage.watcher.act = fail
    await stage.drive()
    target = stage.one()
    assert (target.state, target.reason) == (S.HELD, Reason.ATTEMPTS_USED_UP)
    assert [one.outcome for one in target.attempts] == [Outcome.FAILED, Outcome.FAILED]
    assert stage.sent("change") == 2


async def test_a_fatal_refusal_starts_the_server_again() -> None:
    stage = Stage()
    stage.cloud.fates["change"].append(refused("Ecs.0314"))
    await stage.drive()
    target = stage.one()
    assert (target.state, target.reason, target.stopped_at) == (S.FAILED, Reason.REFUSED, None)
    assert [verb for verb, _ in stage.cloud.sent] == ["stop", "change", "start"]


async def test_throttled_writes_are_repeated_without_a_bound() -> None:
    stage = Stage()
    stage.cloud.fates["stop"].extend([refused("APIGW.0308", 429)] * 15)
    stage.cloud.fates["change"].extend([refused("APIGW.0308", 429)] * 15)
    await stage.drive()
    assert stage.states() == {S.DONE: 1}
    assert (stage.sent("stop"), stage.sent("change")) == (16, 16)
    assert stage.one().refusals == 0


async def test_exhausted_permits_are_waited_for() -> None:
    stage = Stage(12, replace(QUICK, concurrency=12))
    stage.cloud.permits, stage.cloud.refill = 0, 1
    await stage.drive()
    assert stage.states() == {S.DONE: 12}
    intents = sum(isinstance(event, ChangeIntended) for _, event in stage.journal.events)
    assert intents == stage.sent("change") == 12


async def test_a_server_that_sweeps_omit_is_read_by_itself() -> None:
    stage = Stage(3)
    stage.cloud.hidden = {"server-0002"}
    await stage.drive()
    assert stage.states() == {S.DONE: 3}
    assert stage.cloud.requests["server"] > 0


async def test_a_server_that_is_gone_fails_by_two_404s() -> None:
    stage = Stage(2)
    stage.cloud.pictures["server-0001"] = None
    await stage.drive()
    assert stage.states() == {S.DONE: 1, S.FAILED: 1}
    assert stage.one(1).reason is Reason.GONE
    assert stage.cloud.requests["server"] >= 2
    assert all("server-0001" not in ids for _, ids in stage.cloud.sent)


async def test_a_foreign_change_is_held_before_anything_is_sent() -> None:
    stage = Stage()
    stage.cloud.pictures["server-0001"] = replace(STOPPED, disk="disk-foreign")
    await stage.drive()
    assert (stage.one().state, stage.one().reason) == (S.HELD, Reason.FOREIGN_CHANGE)
    assert stage.cloud.sent == []


async def test_a_change_that_goes_on_too_long_is_held_and_pauses_the_run() -> None:
    stage = Stage(2, replace(QUICK, concurrency=1, change_timeout_s=0.1))
    stage.cloud.reads_a_work = 100_000
    stage.cloud.pictures = dict.fromkeys(stage.cloud.pictures, STOPPED)
    progress = await stage.drive()
    assert (progress.run.state, progress.run.reason) == (RunState.PAUSED, Reason.TOO_MANY_OVERDUE)
    assert stage.states() == {S.HELD: 1, S.WAITING: 1}
    assert stage.one().overdue
    assert stage.one().keeps_claim
    # Who resumes it in spite of that is not stopped at once: the next server gets its turn.
    stage.cloud.reads_a_work = 2
    assert (await stage.drive()).run.state is RunState.DONE
    assert stage.states() == {S.HELD: 1, S.DONE: 1}
