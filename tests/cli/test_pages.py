"""The pages about the commands are true: the reference is theirs, and the guide names nothing that is not there."""

import re
import shlex
from pathlib import Path

import pytest

from fleetos.cli.reference import CommandHelp, commands, main
from fleetos.errors import UsageError
from tests.test_readme import calls

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = DOCS / "reference" / "commands.md"
GUIDE = DOCS / "guide.md"
ALL = {command.words: command for command in commands()}
GROUPS = {"fleetos db", "fleetos wave"}


def options(command: CommandHelp) -> set[str]:
    """The options that a command takes, as its help spells them."""
    return {
        word for write_plan, _ in command.parameters for word in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", write_plan)
    }


def test_the_page_is_what_the_commands_say_of_themselves(tmp_path: Path) -> None:
    hint = "run: python -m fleetos.cli.reference docs/reference/commands.md"
    assert main([str(REFERENCE), "--check"]) == 0, hint
    other = tmp_path / "commands.md"
    assert main([str(other), "--check"]) == 1
    assert main([str(other)]) == 0
    assert other.read_text(encoding="utf-8") == REFERENCE.read_text(encoding="utf-8")
    other.write_text("# The commands\n", encoding="utf-8")
    assert main([str(other), "--check"]) == 1
    with pytest.raises(UsageError):
        main([])


@pytest.mark.parametrize("words", sorted(ALL))
def test_each_command_is_documented_with_an_example_that_it_takes(words: str) -> None:
    command = ALL[words]
    assert command.text
    assert f"\n## {words}\n" in REFERENCE.read_text(encoding="utf-8")
    assert all(meaning for _, meaning in command.parameters)
    if words not in GROUPS:
        assert command.examples, "an example says more than a list of options"
    for example in command.examples:
        told = example.partition(" | ")[0].partition(" > ")[0]
        assert told.startswith(words)
        used = {word for word in shlex.split(told) if word.startswith("-")}
        assert used <= options(command), example


def test_a_command_takes_a_database_or_a_cloud_where_it_uses_one() -> None:
    with_cloud = {words for words, command in ALL.items() if "--cloud" in options(command)}
    with_database = {words for words, command in ALL.items() if "--db" in options(command)}
    words = (
        "plan",
        "rehearse",
        "apply",
        "drift",
        "resume",
        "retry",
        "abort",
        "pause",
        "hold",
        "release",
        "skip",
        "set",
        "approve",
        "wave promote",
        "doctor",
        "runs",
        "status",
        "explain",
        "events",
    )
    assert with_cloud == {f"fleetos {word}" for word in words}
    assert with_database == with_cloud | {f"fleetos db {word}" for word in ("check", "backup", "upgrade")}


def test_the_guide_calls_only_what_is_there() -> None:
    found = set(calls(GUIDE.read_text(encoding="utf-8")))
    assert len(found) > 10
    for words, used in found:
        name = " ".join(("fleetos", *words))
        assert name in ALL, name
        assert set(used) <= options(ALL[name]), (name, used)


def test_the_guide_knows_every_command_that_mends_something() -> None:
    named = {words[0] for words, _ in calls(GUIDE.read_text(encoding="utf-8")) if words}
    assert {"validate", "apply", "status", "events", "resume", "retry", "abort", "sim", "db"} <= named
