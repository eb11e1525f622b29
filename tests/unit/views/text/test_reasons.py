"""Every reason has its words."""

import re
from dataclasses import replace

import pytest

from fleetos.model.plan import StopMode
from fleetos.model.run import Run, Target
from fleetos.model.states import RUN_ENDS, Reason, RunState, TargetState
from fleetos.views.text.reasons import REASONS, todo_of
from tests.support.builders import SETTINGS, a_run, a_target, an_attempt

ENDED = a_run(id="2b7c0m1x4q", state=RunState.DONE)
LOCKED = a_target(1, state=TargetState.HELD, reason=Reason.LOCKED)
UNKNOWN = replace(LOCKED, reason=Reason.OUTCOME_UNKNOWN, attempts=(an_attempt(unanswered=1),))
AT_ONCE, LATER = "`fleetos retry 2b7c0m1x4q {} --reason TEXT`", "once the run has ended `fleetos retry 2b7c0m1x4q`"
COMMANDS = {"retry", "release", "resume", "abort", "apply", "status"}


def test_every_reason_is_in_the_table() -> None:
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_words_are_a_phrase_a_sentence_and_advice(reason: Reason) -> None:
    words = REASONS[reason]
    assert len(words.short) <= 30
    assert words.short[0].islower()
    assert words.short[-1] != "."
    assert re.fullmatch(r"[A-Z][^.]*\.", words.what), "one sentence"
    assert words.todo[0].isupper()
    assert words.todo.endswith(".")


@pytest.mark.parametrize(
    ("stop", "advised", "never"),
    [
        (StopMode.SOFT, "`rollout.stop: soft-then-hard` or a longer `timeouts.stop`", "raise"),
        (StopMode.SOFT_THEN_HARD, "raise `timeouts.stop`", "hard"),
        (StopMode.HARD, "raise `timeouts.stop`", "hard"),
    ],
)
def test_advice_about_a_stop_fits_what_the_plan_says(stop: StopMode, advised: str, never: str) -> None:
    todo = todo_of(Reason.STOP_TIMEOUT, replace(ENDED, settings=replace(SETTINGS, stop=stop)))
    assert advised in todo
    assert never not in todo.replace("soft-then-hard", "" if stop is StopMode.SOFT else "hard")


@pytest.mark.parametrize(
    ("reason", "never"),
    [
        (Reason.STOP_TIMEOUT, "hard stop"),
        (Reason.UNSUITABLE, "another image"),
        (Reason.UNREACHABLE, "resume 2b7c0m1x4q`."),
        (Reason.PERMISSION, "Have the permission"),
    ],
)
def test_nothing_is_advised_that_may_not_help(reason: Reason, never: str) -> None:
    assert never not in todo_of(reason, ENDED)


@pytest.mark.parametrize("targets", [[LOCKED], [LOCKED, LOCKED], [UNKNOWN], []])
@pytest.mark.parametrize("state", list(RunState))
@pytest.mark.parametrize("reason", list(Reason))
def test_advice_names_real_commands_with_the_run(reason: Reason, state: RunState, targets: list[Target]) -> None:
    advice = todo_of(reason, replace(ENDED, state=state), targets)
    assert "{" not in advice
    for command, argument in re.findall(r"`fleetos (\w+) (\w+)", advice):
        assert command in COMMANDS
        assert argument == ("PLAN" if command == "apply" else "2b7c0m1x4q")


@pytest.mark.parametrize(
    ("state", "targets", "retry"),
    [
        (RunState.RUNNING, [LOCKED], AT_ONCE.format(LOCKED.server_id)),
        (RunState.PAUSED, [LOCKED, UNKNOWN], AT_ONCE.format("SERVER")),
        (RunState.RUNNING, [UNKNOWN], LATER),
        (RunState.FINISHING, [LOCKED], LATER),
        *((state, [UNKNOWN], "`fleetos retry 2b7c0m1x4q`") for state in sorted(RUN_ENDS)),
    ],
)
def test_a_retry_is_advised_as_the_run_takes_it(state: RunState, targets: list[Target], retry: str) -> None:
    run: Run = replace(ENDED, state=state)
    assert todo_of(Reason.LOCKED, run, targets) == f"Unlock it, then {retry}."
