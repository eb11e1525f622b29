"""Each checker finds a trace that breaks its invariant.

The traces are real plays that are edited afterwards: as if the cloud, the wire or the journal had seen something else.
"""

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fleetos.model.journal.events import ChangeIntended, Enlisted, Record, RunDriverStarted, RunMoved
from fleetos.model.plan import StopMode
from fleetos.model.states import Reason, RunState, TargetState
from tests.simulation.checkers import broken, check
from tests.simulation.edited_runs import (
    SETTLE_S,
    accepted_twice,
    alter,
    changes,
    endless,
    freeze_with,
    insert,
    named,
    one_by_one,
    plain,
    resent,
    stop_of,
)
from tests.simulation.run_trace import Asked, RunTrace, Sent, Session
from tests.support.ledger import CHANGES

Edit = Callable[[RunTrace], None]


def _changes_together(trace: RunTrace) -> None:
    first, second = changes(trace)[:2]
    second.sent_during = [first.seq]


def _wipes_a_success(trace: RunTrace) -> None:
    """Let the system disk of the second server be the new one of the first, as the second is sent."""
    done = next(disk for disk in trace.ledger.disks if disk.successful)
    place = [place for place, sent in enumerate(trace.sent) if sent.operation in CHANGES][-1]
    trace.sent[place] = replace(trace.sent[place], disks={trace.sent[place].servers[0]: done.id})


def _destroys_a_success(trace: RunTrace) -> None:
    done = next(disk for disk in trace.ledger.disks if disk.successful)
    done.destroyed_by = stop_of(trace).seq


def _wipes_an_unknown_disk(trace: RunTrace) -> None:
    for place, record in enumerate(trace.records):
        if isinstance(record.event, ChangeIntended):
            other = replace(record.event, before=replace(record.event.before, disk="another"))
            trace.records[place] = replace(record, event=other)
            return


def _sent_without_a_look(trace: RunTrace) -> None:
    """Let the server have had another disk for hours by then: one of somebody else."""
    boot = next(disk for disk in trace.ledger.disks if disk.boot and disk.made_by is None)
    foreign = replace(boot, id="foreign", made_at=trace.born_at - 7200.0)
    trace.ledger = replace(trace.ledger, disks=(*trace.ledger.disks, foreign))
    alter(trace, "changeos", lambda sent: replace(sent, disks=dict.fromkeys(sent.servers, foreign.id)))


def _most_slots(trace: RunTrace) -> None:
    trace.most_slots = trace.run.settings.concurrency + 1


def _sent_beyond_slots(trace: RunTrace) -> None:
    alter(trace, "changeos", lambda sent: replace(sent, slots=trace.run.settings.concurrency + 1))


def _narrow(trace: RunTrace) -> None:
    freeze_with(trace, lambda settings: replace(settings, concurrency=1))
    trace.most_slots = 1
    trace.sent = [replace(sent, slots=1) for sent in trace.sent]


def _sent_while_paused(trace: RunTrace) -> None:
    alter(trace, "changeos", lambda sent: replace(sent, run_state=RunState.PAUSED))


def _stopped_while_aborted(trace: RunTrace) -> None:
    alter(trace, "stop", lambda sent: replace(sent, run_state=RunState.FINISHING))


def _admits_while_paused(trace: RunTrace) -> None:
    place = next(place for place, record in enumerate(trace.records) if isinstance(record.event, RunDriverStarted)) + 1
    insert(trace, place, RunMoved(RunState.PAUSED, Reason.PERMISSION))
    insert(trace, place + 2, RunMoved(RunState.RUNNING))


def _sent_without_intent(trace: RunTrace) -> None:
    def ready(sent: Sent) -> Sent:
        return replace(
            sent, targets={one: replace(target, state=TargetState.READY) for one, target in sent.targets.items()}
        )

    alter(trace, "changeos", ready)


def _stopped_without_intent(trace: RunTrace) -> None:
    def uncalled(sent: Sent) -> Sent:
        return replace(sent, targets={one: replace(target, calls=()) for one, target in sent.targets.items()})

    alter(trace, "stop", uncalled)


def _stopped_twice_by_one_intent(trace: RunTrace) -> None:
    trace.sent.append(next(sent for sent in trace.sent if sent.operation == "stop"))


def _sent_by_the_intent_of_another(trace: RunTrace) -> None:
    alter(trace, "changeos", lambda sent: replace(sent, process=trace.sessions[-1].process + 1))


def _sent_before_its_intent(trace: RunTrace) -> None:
    alter(trace, "changeos", lambda sent: replace(sent, at_s=sent.at_s - 0.0005))


def _stored_otherwise(trace: RunTrace) -> None:
    server_id, target = next(iter(trace.targets.items()))
    trace.targets = {**trace.targets, server_id: replace(target, detail="something else")}


def _gap(trace: RunTrace) -> None:
    trace.records[-1] = replace(trace.records[-1], seq=trace.records[-1].seq + 1)


def _illegal(trace: RunTrace) -> None:
    trace.records.append(Record(len(trace.records) + 1, trace.records[-1].at, RunMoved(RunState.PAUSED)))


def _never_ends(trace: RunTrace) -> None:
    trace.came_to_end = False


def _waits_for_too_long(trace: RunTrace) -> None:
    """Let the changes have been given more time than the plan allows."""
    trace.calm_s = 0.0
    trace.spec = replace(trace.spec, timeouts=replace(trace.spec.timeouts, change_s=1.0))


def _defect(trace: RunTrace) -> None:
    trace.sessions.append(Session(9, 9, 0.0, 1.0, "defect", "KeyError('x')"))


def _tells(text: Callable[[str], str]) -> Edit:
    def tell(trace: RunTrace) -> None:
        trace.secrets = (*trace.secrets, 'Zq7!"Canary+pass/9')
        trace.texts.append(f"the request was {text(trace.secrets[-1])}, refused")

    return tell


def _stopped_while_changing(trace: RunTrace) -> None:
    stop_of(trace).sent_during = [changes(trace)[0].seq]


def _stopped_while_one_may_come(trace: RunTrace) -> None:
    """Let the second change have left long before the stop, and never have been heard of again."""
    earlier = changes(trace)[1]
    earlier.sent_at = stop_of(trace).sent_at - 20 * SETTLE_S
    stop_of(trace).sent_during = [earlier.seq]


def _asked_again_at_once(trace: RunTrace) -> None:
    trace.asked += [
        Asked(1.0e6, 1, "list", False, 1.0e6 + 1, 429, None),
        Asked(1.0e6 + 1.5, 1, "token", False, 1.0e6 + 2, 201, None),
    ]


def _asked_before_told(trace: RunTrace) -> None:
    trace.asked += [
        Asked(1.0e6, 1, "changeos", True, 1.0e6 + 1, 429, 30.0),
        Asked(1.0e6 + 29.0, 1, "detail", False, 1.0e6 + 30, 200, None),
    ]


def _too_fast(trace: RunTrace) -> None:
    freeze_with(trace, lambda settings: replace(settings, rate_per_s=1.0, burst=2.0, connections=2))
    trace.asked += [Asked(1.0, 1, "detail", False, 1.0, 200, None)] * 6


def _zombie_writes(trace: RunTrace) -> None:
    trace.written[-1] = replace(trace.written[-1], epoch=0)


def _sent_though_taken(trace: RunTrace) -> None:
    """Let another run have claimed the server of the first change before that was sent."""
    (server_id,) = changes(trace)[0].servers
    trace.taken[server_id] = next(sent.at_s for sent in trace.sent if sent.operation == "changeos") - 0.5


def _zombie_sends(trace: RunTrace) -> None:
    alter(trace, "changeos", lambda sent: replace(sent, epoch_now=2))


def _lies_stopped(trace: RunTrace) -> None:
    server = trace.world.servers[named(trace, "web-1")]
    server.vm_state, server.stopped_by = "stopped", stop_of(trace).seq


def _never_made(trace: RunTrace) -> None:
    changes(trace)[0].ended = None


def _of_another_image(trace: RunTrace) -> None:
    next(disk for disk in trace.ledger.disks if disk.successful).image_id = "another"


def _changed_in_secret(trace: RunTrace) -> None:
    disk = trace.world.servers[named(trace, "locked")].system_disk
    if disk is not None:
        disk.successful, disk.made_by = True, changes(trace)[0].seq


def _skipped_in_error(trace: RunTrace) -> None:
    trace.world.servers[named(trace, "done-before")].vm_state = "error"


def _skipped_on_another_image(trace: RunTrace) -> None:
    trace.world.servers[named(trace, "done-before")].image = None


def _skipped_yet_changed(trace: RunTrace) -> None:
    change, server_id = changes(trace)[0], named(trace, "done-before")
    change.servers, change.content = [server_id], trace.wanted[server_id]


def _done_before_its_end(trace: RunTrace) -> None:
    """Let a change go on when its target is done."""
    changes(trace)[0].ended = None


def _says(**other: Any) -> Edit:
    """Let the first change have said something else than what was frozen for its server."""

    def edit(trace: RunTrace) -> None:
        change = changes(trace)[0]
        assert change.content is not None
        change.content = replace(change.content, **other)

    return edit


def _said_to_another(trace: RunTrace) -> None:
    """Let the first change have said what is for the server of the second."""
    first, second = changes(trace)[:2]
    first.content = second.content


def _sent_to_a_stranger(trace: RunTrace) -> None:
    trace.targets = {one: target for one, target in trace.targets.items() if one != stop_of(trace).servers[0]}
    trace.records = [record for record in trace.records if not isinstance(record.event, Enlisted)]


def _stopped_hard(trace: RunTrace) -> None:
    trace.spec = replace(trace.spec, rollout=replace(trace.spec.rollout, stop=StopMode.SOFT))
    stop_of(trace).hard = True


def _stopped_softly(trace: RunTrace) -> None:
    trace.spec = replace(trace.spec, rollout=replace(trace.spec.rollout, stop=StopMode.HARD))


def _started_untouched(trace: RunTrace) -> None:
    """Let a server be started that nobody of ours has taken down."""
    alter(trace, "stop", lambda sent: replace(sent, operation="start"))


def _stopped_beside_its_change(trace: RunTrace) -> None:
    trace.spec = replace(trace.spec, rollout=replace(trace.spec.rollout, stop=StopMode.API))
    for change in changes(trace):
        assert change.content is not None
        change.content = replace(change.content, mode="withStopServer")
    trace.wanted = {one: replace(wanted, mode="withStopServer") for one, wanted in trace.wanted.items()}


def _stopped_at_the_end(trace: RunTrace) -> None:
    def at_the_end(sent: Sent) -> Sent:
        restoring = {one: replace(target, state=TargetState.RESTORING) for one, target in sent.targets.items()}
        return replace(sent, targets=restoring)

    alter(trace, "stop", at_the_end)


def _sent_four_times(trace: RunTrace) -> None:
    sent = next(sent for sent in trace.sent if sent.operation in CHANGES)
    trace.sent += [sent] * 3


_BREAKS: list[tuple[Edit, Callable[[], RunTrace], set[str]]] = [
    (_changes_together, plain, {"I1"}),
    (accepted_twice, resent, {"I1"}),
    (_wipes_a_success, one_by_one, {"I2"}),
    (_destroys_a_success, plain, {"I2", "I12"}),
    (_wipes_an_unknown_disk, plain, {"I2", "I6"}),
    (_sent_without_a_look, plain, {"I2"}),
    (_most_slots, plain, {"I3"}),
    (_sent_beyond_slots, plain, {"I3"}),
    (_narrow, plain, {"I3"}),
    (_sent_while_paused, plain, {"I4"}),
    (_stopped_while_aborted, plain, {"I4"}),
    (_admits_while_paused, plain, {"I4"}),
    (_sent_without_intent, plain, {"I5"}),
    (_stopped_without_intent, plain, {"I5"}),
    (_stopped_twice_by_one_intent, plain, {"I5"}),
    (_sent_by_the_intent_of_another, plain, {"I5"}),
    (_sent_before_its_intent, plain, {"I5"}),
    (_stored_otherwise, plain, {"I6"}),
    (_gap, plain, {"I6"}),
    (_illegal, plain, {"I6"}),
    (_never_ends, plain, {"I7"}),
    (_defect, plain, {"I7"}),
    (_waits_for_too_long, endless, {"I7"}),
    (_tells(str), plain, {"I8"}),
    (_tells(lambda secret: json.dumps({"adminPass": secret})), plain, {"I8"}),
    (_tells(lambda secret: b64encode(f"user:{secret}".encode()).decode()), plain, {"I8"}),
    (_stopped_while_changing, plain, {"I9"}),
    (_stopped_while_one_may_come, plain, {"I9"}),
    (_asked_again_at_once, plain, {"I10"}),
    (_asked_before_told, plain, {"I10"}),
    (_too_fast, plain, {"I10"}),
    (_zombie_writes, plain, {"I11"}),
    (_zombie_sends, plain, {"I11"}),
    (_sent_though_taken, plain, {"I11"}),
    (_lies_stopped, plain, {"I12"}),
    (_never_made, plain, {"I12"}),
    (_of_another_image, plain, {"I12"}),
    (_changed_in_secret, plain, {"I12"}),
    (_skipped_yet_changed, plain, {"I12"}),
    (_done_before_its_end, plain, {"I12"}),
    (_skipped_in_error, plain, {"I12"}),
    (_skipped_on_another_image, plain, {"I12"}),
    (_says(image_id="another"), plain, {"I13"}),
    (_says(keyname="another"), plain, {"I13"}),
    (_says(userid=None), plain, {"I13"}),
    (_says(adminpass="another"), plain, {"I13"}),
    (_says(user_data="another"), plain, {"I13"}),
    (_says(metadata={"BYOL": "true"}), plain, {"I13"}),
    (_says(mode="withStopServer"), plain, {"I13"}),
    (_said_to_another, plain, {"I13"}),
    (_stopped_hard, plain, {"I13"}),
    (_stopped_softly, plain, {"I13"}),
    (_stopped_beside_its_change, plain, {"I13"}),
]

# What these see, others see as well: that is not what they are about.
_ALSO = [
    ("I13", _sent_to_a_stranger),
    ("I13", _started_untouched),
    ("I13", _stopped_at_the_end),
    ("I13", _sent_four_times),
]


@pytest.mark.parametrize(
    ("edit", "begin", "found"), _BREAKS, ids=["-".join((*sorted(f), e.__name__)) for e, _, f in _BREAKS]
)
def test_a_broken_invariant_is_found(edit: Edit, begin: Callable[[], RunTrace], found: set[str]) -> None:
    trace = begin()
    edit(trace)
    assert {violation.invariant for violation in check(trace)} == found


@pytest.mark.parametrize(("name", "edit"), _ALSO, ids=[edit.__name__ for _, edit in _ALSO])
def test_what_breaks_several_invariants_is_found_by_its_own(name: str, edit: Edit) -> None:
    trace = plain()
    edit(trace)
    assert list(broken(name, trace))
