"""Each checker finds a story that breaks its invariant.

The stories are real plays that are edited afterwards: as if the cloud, the wire or the journal had seen something else.
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
from tests.simulation.run_trace import Asked, Sent, Session, Story
from tests.support.ledger import CHANGES

Edit = Callable[[Story], None]


def _changes_together(story: Story) -> None:
    first, second = changes(story)[:2]
    second.sent_during = [first.seq]


def _wipes_a_success(story: Story) -> None:
    """Let the system disk of the second server be the new one of the first, as the second is sent."""
    done = next(disk for disk in story.ledger.disks if disk.successful)
    place = [place for place, sent in enumerate(story.sent) if sent.operation in CHANGES][-1]
    story.sent[place] = replace(story.sent[place], disks={story.sent[place].servers[0]: done.id})


def _destroys_a_success(story: Story) -> None:
    done = next(disk for disk in story.ledger.disks if disk.successful)
    done.destroyed_by = stop_of(story).seq


def _wipes_an_unknown_disk(story: Story) -> None:
    for place, record in enumerate(story.records):
        if isinstance(record.event, ChangeIntended):
            other = replace(record.event, before=replace(record.event.before, disk="another"))
            story.records[place] = replace(record, event=other)
            return


def _sent_without_a_look(story: Story) -> None:
    """Let the server have had another disk for hours by then: one of somebody else."""
    boot = next(disk for disk in story.ledger.disks if disk.boot and disk.made_by is None)
    foreign = replace(boot, id="foreign", made_at=story.born_at - 7200.0)
    story.ledger = replace(story.ledger, disks=(*story.ledger.disks, foreign))
    alter(story, "changeos", lambda sent: replace(sent, disks=dict.fromkeys(sent.servers, foreign.id)))


def _most_slots(story: Story) -> None:
    story.most_slots = story.run.settings.concurrency + 1


def _sent_beyond_slots(story: Story) -> None:
    alter(story, "changeos", lambda sent: replace(sent, slots=story.run.settings.concurrency + 1))


def _narrow(story: Story) -> None:
    freeze_with(story, lambda settings: replace(settings, concurrency=1))
    story.most_slots = 1
    story.sent = [replace(sent, slots=1) for sent in story.sent]


def _sent_while_paused(story: Story) -> None:
    alter(story, "changeos", lambda sent: replace(sent, run_state=RunState.PAUSED))


def _stopped_while_aborted(story: Story) -> None:
    alter(story, "stop", lambda sent: replace(sent, run_state=RunState.FINISHING))


def _admits_while_paused(story: Story) -> None:
    place = next(place for place, record in enumerate(story.records) if isinstance(record.event, RunDriverStarted)) + 1
    insert(story, place, RunMoved(RunState.PAUSED, Reason.PERMISSION))
    insert(story, place + 2, RunMoved(RunState.RUNNING))


def _sent_without_intent(story: Story) -> None:
    def ready(sent: Sent) -> Sent:
        return replace(
            sent, targets={one: replace(target, state=TargetState.READY) for one, target in sent.targets.items()}
        )

    alter(story, "changeos", ready)


def _stopped_without_intent(story: Story) -> None:
    def uncalled(sent: Sent) -> Sent:
        return replace(sent, targets={one: replace(target, calls=()) for one, target in sent.targets.items()})

    alter(story, "stop", uncalled)


def _stopped_twice_by_one_intent(story: Story) -> None:
    story.sent.append(next(sent for sent in story.sent if sent.operation == "stop"))


def _sent_by_the_intent_of_another(story: Story) -> None:
    alter(story, "changeos", lambda sent: replace(sent, process=story.sessions[-1].process + 1))


def _sent_before_its_intent(story: Story) -> None:
    alter(story, "changeos", lambda sent: replace(sent, at_s=sent.at_s - 0.0005))


def _stored_otherwise(story: Story) -> None:
    server_id, target = next(iter(story.targets.items()))
    story.targets = {**story.targets, server_id: replace(target, detail="something else")}


def _gap(story: Story) -> None:
    story.records[-1] = replace(story.records[-1], seq=story.records[-1].seq + 1)


def _illegal(story: Story) -> None:
    story.records.append(Record(len(story.records) + 1, story.records[-1].at, RunMoved(RunState.PAUSED)))


def _never_ends(story: Story) -> None:
    story.came_to_end = False


def _waits_for_too_long(story: Story) -> None:
    """Let the changes have been given more time than the plan allows."""
    story.calm_s = 0.0
    story.spec = replace(story.spec, timeouts=replace(story.spec.timeouts, change_s=1.0))


def _defect(story: Story) -> None:
    story.sessions.append(Session(9, 9, 0.0, 1.0, "defect", "KeyError('x')"))


def _tells(text: Callable[[str], str]) -> Edit:
    def tell(story: Story) -> None:
        story.secrets = (*story.secrets, 'Zq7!"Canary+pass/9')
        story.texts.append(f"the request was {text(story.secrets[-1])}, refused")

    return tell


def _stopped_while_changing(story: Story) -> None:
    stop_of(story).sent_during = [changes(story)[0].seq]


def _stopped_while_one_may_come(story: Story) -> None:
    """Let the second change have left long before the stop, and never have been heard of again."""
    earlier = changes(story)[1]
    earlier.sent_at = stop_of(story).sent_at - 20 * SETTLE_S
    stop_of(story).sent_during = [earlier.seq]


def _asked_again_at_once(story: Story) -> None:
    story.asked += [
        Asked(1.0e6, 1, "list", False, 1.0e6 + 1, 429, None),
        Asked(1.0e6 + 1.5, 1, "token", False, 1.0e6 + 2, 201, None),
    ]


def _asked_before_told(story: Story) -> None:
    story.asked += [
        Asked(1.0e6, 1, "changeos", True, 1.0e6 + 1, 429, 30.0),
        Asked(1.0e6 + 29.0, 1, "detail", False, 1.0e6 + 30, 200, None),
    ]


def _too_fast(story: Story) -> None:
    freeze_with(story, lambda settings: replace(settings, rate_per_s=1.0, burst=2.0, connections=2))
    story.asked += [Asked(1.0, 1, "detail", False, 1.0, 200, None)] * 6


def _zombie_writes(story: Story) -> None:
    story.written[-1] = replace(story.written[-1], epoch=0)


def _zombie_sends(story: Story) -> None:
    alter(story, "changeos", lambda sent: replace(sent, epoch_now=2))


def _lies_stopped(story: Story) -> None:
    server = story.world.servers[named(story, "web-1")]
    server.vm_state, server.stopped_by = "stopped", stop_of(story).seq


def _never_made(story: Story) -> None:
    changes(story)[0].ended = None


def _of_another_image(story: Story) -> None:
    next(disk for disk in story.ledger.disks if disk.successful).image_id = "another"


def _changed_in_secret(story: Story) -> None:
    disk = story.world.servers[named(story, "locked")].system_disk
    if disk is not None:
        disk.successful, disk.made_by = True, changes(story)[0].seq


def _skipped_in_error(story: Story) -> None:
    story.world.servers[named(story, "done-before")].vm_state = "error"


def _skipped_on_another_image(story: Story) -> None:
    story.world.servers[named(story, "done-before")].image = None


def _skipped_yet_changed(story: Story) -> None:
    change, server_id = changes(story)[0], named(story, "done-before")
    change.servers, change.content = [server_id], story.wanted[server_id]


def _done_before_its_end(story: Story) -> None:
    """Let a change go on when its target is done."""
    changes(story)[0].ended = None


def _says(**other: Any) -> Edit:
    """Let the first change have said something else than what was frozen for its server."""

    def edit(story: Story) -> None:
        change = changes(story)[0]
        assert change.content is not None
        change.content = replace(change.content, **other)

    return edit


def _said_to_another(story: Story) -> None:
    """Let the first change have said what is for the server of the second."""
    first, second = changes(story)[:2]
    first.content = second.content


def _sent_to_a_stranger(story: Story) -> None:
    story.targets = {one: target for one, target in story.targets.items() if one != stop_of(story).servers[0]}
    story.records = [record for record in story.records if not isinstance(record.event, Enlisted)]


def _stopped_hard(story: Story) -> None:
    story.spec = replace(story.spec, rollout=replace(story.spec.rollout, stop=StopMode.SOFT))
    stop_of(story).hard = True


def _stopped_softly(story: Story) -> None:
    story.spec = replace(story.spec, rollout=replace(story.spec.rollout, stop=StopMode.HARD))


def _started_untouched(story: Story) -> None:
    """Let a server be started that nobody of ours has taken down."""
    alter(story, "stop", lambda sent: replace(sent, operation="start"))


def _stopped_beside_its_change(story: Story) -> None:
    story.spec = replace(story.spec, rollout=replace(story.spec.rollout, stop=StopMode.API))
    for change in changes(story):
        assert change.content is not None
        change.content = replace(change.content, mode="withStopServer")
    story.wanted = {one: replace(wanted, mode="withStopServer") for one, wanted in story.wanted.items()}


def _stopped_at_the_end(story: Story) -> None:
    def at_the_end(sent: Sent) -> Sent:
        restoring = {one: replace(target, state=TargetState.RESTORING) for one, target in sent.targets.items()}
        return replace(sent, targets=restoring)

    alter(story, "stop", at_the_end)


def _sent_four_times(story: Story) -> None:
    sent = next(sent for sent in story.sent if sent.operation in CHANGES)
    story.sent += [sent] * 3


_BREAKS: list[tuple[Edit, Callable[[], Story], set[str]]] = [
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
def test_a_broken_invariant_is_found(edit: Edit, begin: Callable[[], Story], found: set[str]) -> None:
    story = begin()
    edit(story)
    assert {violation.invariant for violation in check(story)} == found


@pytest.mark.parametrize(("name", "edit"), _ALSO, ids=[edit.__name__ for _, edit in _ALSO])
def test_what_breaks_several_invariants_is_found_by_its_own(name: str, edit: Edit) -> None:
    story = plain()
    edit(story)
    assert list(broken(name, story))
