"""Who is out, and what a group allows."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.model.run import Outcome, Target
from fleetos.model.states import ENDS, IN_FLIGHT, TargetState
from fleetos.model.steering.rollout import GroupRule
from fleetos.model.steering.share import Share
from fleetos.rules.groups import LOOK_EXPIRES, Group, Groups, Look, group_keys, why_out
from tests.support.builders import ERROR, RUNNING, START, STOPPED, STOPPING, a_target, an_attempt

S = TargetState
FAILED = an_attempt(outcome=Outcome.FAILED, accepted_at=START)
LATER = START + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("target", "look", "why"),
    [
        (a_target(), None, None),
        (a_target(), Look(RUNNING, START), None),
        (a_target(), Look(STOPPING, START), "down"),
        (a_target(), Look(STOPPED, START), "down"),
        (a_target(), Look(None, START), "down"),
        (a_target(stopped_at=START), Look(RUNNING, START), "stopped"),
        (a_target(state=S.HELD, attempts=(an_attempt(),)), Look(RUNNING, LATER), "unsettled"),
        (a_target(state=S.FAILED, attempts=(FAILED,), since=LATER), Look(RUNNING, START), "failed"),
        (a_target(state=S.BACKOFF, attempts=(FAILED,), since=LATER), None, "backoff"),
        (a_target(state=S.FAILED, attempts=(FAILED,), since=START), Look(RUNNING, LATER), None),
        (a_target(state=S.FAILED, attempts=(FAILED,), since=START), Look(ERROR, LATER), "down"),
        (a_target(state=S.HELD, since=LATER), Look(RUNNING, START), None),
        (a_target(state=S.DONE, attempts=(an_attempt(outcome=Outcome.SUCCEEDED),)), None, None),
    ],
)
def test_why_a_server_is_out(target: Target, look: Look | None, why: str | None) -> None:
    assert why_out(target, look) == why


@pytest.mark.parametrize("state", sorted(S))
def test_every_admitted_target_is_out_and_a_good_end_is_not(state: TargetState) -> None:
    groups = Groups.of([GroupRule("all", Share(1))], [a_target()])
    groups.update(a_target(state=state), Look(RUNNING, START))
    assert groups.is_out("server-0001") is (state in IN_FLIGHT)
    assert state in IN_FLIGHT or state in ENDS or state in (S.WAITING, S.BACKOFF)


def test_what_health_checks_say_counts() -> None:
    groups = Groups.of([GroupRule("all", Share(1))], [a_target()])
    groups.update(a_target(state=S.DONE), Look(RUNNING, START), "relapsed")
    (group,) = groups
    assert group.words == "all: 1 of 1 out: web-0001 relapsed"


def test_groups_of_a_target() -> None:
    rules = [GroupRule(per, Share(1)) for per in ("all", "az", "flavor", "label:pair")]
    target = a_target(az="eu-de-01", flavor="s3", labels={"pair": "a"})
    assert group_keys(rules, target) == (("all", ""), ("az", "eu-de-01"), ("flavor", "s3"), ("label:pair", "a"))
    assert group_keys(rules, a_target(labels={})) == (("all", ""),)


@pytest.mark.parametrize(
    ("percent", "size", "limit"), [(20, 2, 1), (20, 9, 1), (20, 10, 2), (99.99, 3, 2), (100, 3, 3)]
)
def test_a_percentage_is_of_all_targets_of_the_group_and_never_none(percent: float, size: int, limit: int) -> None:
    targets = [a_target(number, state=S.SKIPPED) for number in range(size)]
    (group,) = Groups.of([GroupRule("all", Share(percent, percent=True))], targets)
    assert (group.members, group.limit) == (size, limit)


def group_of(number: int, limit: int = 1) -> tuple[Groups, Group, list[Target]]:
    targets = [a_target(index) for index in range(number)]
    groups = Groups.of([GroupRule("all", Share(limit))], targets)
    (group,) = groups
    for target in targets:
        groups.update(target, Look(RUNNING, START))
    return groups, group, targets


def test_a_member_that_serves_again_gives_room() -> None:
    groups, group, targets = group_of(2)
    groups.mark_admitted(targets[0])
    assert not group.has_room("server-0001")
    groups.update(targets[0], Look(RUNNING, LATER))
    assert group.has_room("server-0001")


def test_a_group_is_unseen_until_its_oldest_look_is_young() -> None:
    groups, group, targets = group_of(3, 2)
    now = START + LOOK_EXPIRES
    assert not group.is_unseen(now)
    now += timedelta(seconds=1)
    assert group.is_unseen(now)
    for target in targets[:2]:
        groups.update(target, Look(RUNNING, now))
    assert group.is_unseen(now)
    groups.update(replace(targets[2], state=S.STOPPING), Look(RUNNING, START))
    assert not group.is_unseen(now)
    groups.update(targets[2], None)
    assert group.is_unseen(now)
    groups.update(targets[2], Look(RUNNING, now))
    assert not group.is_unseen(now)
