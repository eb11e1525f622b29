"""Every reason has its words."""

import re

import pytest

from fleetos.model.states import Reason
from fleetos.views.reasons import REASONS, todo_of

COMMANDS = {"retry", "resume", "abort", "apply", "status"}


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


@pytest.mark.parametrize("reason", list(Reason))
def test_advice_names_real_commands_with_the_run(reason: Reason) -> None:
    advice = todo_of(reason, "2b7c0m1x4q")
    assert "{" not in advice
    for command, run_id in re.findall(r"`fleetos (\w+) (\w+)", advice):
        assert command in COMMANDS
        assert run_id == "2b7c0m1x4q"
