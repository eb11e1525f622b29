"""What was agreed to before a command began, held against what it would wipe."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetos.errors import FleetosError
from fleetos.model.run import Run, Target
from fleetos.model.states import Command, Reason, RunState, TargetState
from fleetos.model.wipes import Wipes, wipes_of
from fleetos.planning.agreement import Agreement, NeedsResume, NotConfirmed, disagreement
from fleetos.planning.frozen_plan import FrozenPlan, PlanOutdated, differences_left, make_frozen_plan
from tests.support.builders import NEW_IMAGE, a_run, a_snapshot, a_target
from tests.unit.planning.plan_folder import PlanFolder
from tests.unit.planning.test_frozen_plan import SERVERS, TEXT, frozen

S = TargetState
Edit = Callable[[Run, list[Target]], tuple[Run, list[Target]]]


def wipes(left: int, frozen: int, **run: object) -> Wipes:
    """What a run would wipe that was created to wipe `frozen` disks and has `left` of them before it."""
    targets = [a_target(number, state=S.WAITING if number < left else S.DONE) for number in range(frozen)]
    return wipes_of(replace(a_run(wipes=frozen), **run), targets)


def refusal(found: FleetosError | None, kind: type[FleetosError]) -> str:
    assert isinstance(found, kind)
    return found.message


@pytest.mark.parametrize(
    ("command", "expected", "agreed"),
    [
        (Command.APPLY, None, True),
        *((Command.APPLY, number, number in (2, 5)) for number in range(7)),
        # A retry lists its disks: their number is the only one.
        *((Command.RETRY, number, number == 2) for number in range(7)),
    ],
)
def test_a_number_agrees_or_refuses(command: Command, expected: int | None, agreed: bool) -> None:
    found = disagreement(Agreement(expected), wipes(2, 5), command)
    if agreed:
        assert found is None
    else:
        assert f"--expect-wipes {expected}, but " in refusal(found, NotConfirmed)


@pytest.mark.parametrize("reason", [Reason.TOO_MANY_OVERDUE, Reason.INPUT_CHANGED])
def test_a_pause_for_a_person_comes_before_everything_else(plans: PlanFolder, reason: Reason) -> None:
    paused = wipes(2, 5, state=RunState.PAUSED, reason=reason, detail="3 changes are overdue")
    content = make_frozen_plan(plans.plan(TEXT), frozen(plans, *SERVERS))
    for agreement in (Agreement(), Agreement(5), Agreement(2, content)):
        said = refusal(disagreement(agreement, paused, Command.APPLY), NeedsResume)
        assert reason.value in said
        assert "3 changes are overdue" in said
    assert disagreement(Agreement(), paused, Command.RESUME) is None
    repaired = wipes(2, 5, state=RunState.PAUSED, reason=Reason.UNREACHABLE)
    assert disagreement(Agreement(5), repaired, Command.APPLY) is None


def unfinished(plans: PlanFolder, text: str = TEXT) -> tuple[FrozenPlan, Run, list[Target]]:
    """A frozen plan of three servers, and the run that it would be: all three are to be changed."""
    servers = [replace(one, snapshot=a_snapshot(), traits=SERVERS[0].traits) for one in SERVERS]
    made = frozen(plans, *servers, text=text)
    return make_frozen_plan(plans.plan(text), made), made.run, list(made.targets)


def first(**changes: object) -> Edit:
    def edited(run: Run, targets: list[Target]) -> tuple[Run, list[Target]]:
        return run, [replace(targets[0], **changes), *targets[1:]]

    return edited


def ordered(**changes: object) -> Edit:
    def edited(run: Run, targets: list[Target]) -> tuple[Run, list[Target]]:
        return run, [replace(one, order=replace(one.order, **changes)) for one in targets]

    return edited


def moved(**changes: object) -> Edit:
    def edited(run: Run, targets: list[Target]) -> tuple[Run, list[Target]]:
        return replace(run, **changes), targets

    return edited


def elsewhere(run: Run, targets: list[Target]) -> tuple[Run, list[Target]]:
    return replace(run, scope=replace(run.scope, project_id="elsewhere")), targets


def one_more(run: Run, targets: list[Target]) -> tuple[Run, list[Target]]:
    return run, [*targets, replace(targets[0], server_id="more", name="web-09")]


def one_less(run: Run, targets: list[Target]) -> tuple[Run, list[Target]]:
    return run, targets[1:]


@pytest.mark.parametrize(
    "edit",
    [
        moved(),
        first(state=S.DONE, disk_after="new", image_after=NEW_IMAGE),
        first(state=S.CHANGING),
        # Its own failed attempt has left another disk.
        first(state=S.BACKOFF, disk="left-by-a-failure"),
        moved(state=RunState.PAUSED, reason=Reason.PERMISSION),
    ],
)
def test_a_run_that_has_the_file_s_work_left_is_carried_on(plans: PlanFolder, edit: Edit) -> None:
    content, run, targets = unfinished(plans)
    run, targets = edit(run, targets)
    assert list(differences_left(content, run, targets)) == []
    assert disagreement(Agreement(3, content), wipes_of(run, targets), Command.APPLY) is None


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (first(state=S.HELD), "in the run it is held"),
        (first(state=S.FAILED), "in the run it is failed"),
        (first(state=S.SKIPPED), "in the run it is skipped"),
        (first(disk="other", baseline=a_snapshot(disk="other")), "its system disk is other, not"),
        (one_less, "the run does not have it"),
        (one_more, "web-09 (more): the run changes it, the frozen plan does not list it"),
        (moved(state=RunState.FINISHING), "is being ended"),
        (ordered(keyname="other"), "its login, user data or metadata"),
        (ordered(image_id="next"), f"its new image is next, not {NEW_IMAGE}"),
        (elsewhere, "the project is elsewhere"),
    ],
)
def test_a_run_that_would_do_anything_else_is_refused(plans: PlanFolder, edit: Edit, words: str) -> None:
    content, run, targets = unfinished(plans)
    run, targets = edit(run, targets)
    found = disagreement(Agreement(plan=content), wipes_of(run, targets), Command.APPLY)
    said = refusal(found, PlanOutdated)
    assert said.startswith(f"run {run.id} of this plan is unfinished")
    assert words in said
    assert f"fleetos resume {run.id}" in str(found and found.hint)


def test_what_the_file_spares_is_not_changed_by_the_run(plans: PlanFolder) -> None:
    """As when somebody has protected a server since the run began: the file was made after that."""
    _, run, targets = unfinished(plans)
    later = make_frozen_plan(plans.plan(TEXT), frozen(plans, *SERVERS))
    assert [one.action for one in later.servers] == ["change", "refuse", "skip"]
    said = list(differences_left(later, run, targets))
    assert len(said) == 2
    assert "the frozen plan says refuse (unsuitable)" in said[0]
    assert "the frozen plan says skip" in said[1]


def test_a_disk_that_the_run_made_is_not_done_already(plans: PlanFolder) -> None:
    """With `force`, a file made half-way wants the new disk wiped once more; the run would not do that."""
    content, run, targets = unfinished(plans)
    again = content.model_copy(
        update={"servers": (content.servers[0].model_copy(update={"system_disk": "new"}), *content.servers[1:])}
    )
    targets[0] = replace(targets[0], state=S.DONE, disk_after="new")
    assert len(list(differences_left(again, run, targets))) == 1
