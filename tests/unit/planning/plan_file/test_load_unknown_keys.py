"""Keys that this version does not know: each is refused, with a hint of the one that was meant."""

import pytest

from tests.unit.planning.plan_folder import HEAD, PlanFolder

_KNOWN_OF_FAILURE = (
    "known here: attempts, backoff, max_backoff, first, max_failed, max_failed_per_wave, of_last, on_exceeded"
)


@pytest.mark.parametrize(
    ("section", "key", "hint"),
    [
        ("rollout: {concurency: 1}", "rollout.concurency", "did you mean `concurrency`?"),
        ("Servers: []", "Servers", "did you mean `servers`?"),
        ("failure: {reruns: 1}", "failure.reruns", _KNOWN_OF_FAILURE),
        ("concurrency: 5", "concurrency", "`concurrency` belongs into `rollout`"),
        ("rollout: {attempts: 5}", "rollout.attempts", "`attempts` belongs into `failure`"),
    ],
)
def test_an_unknown_key_gets_a_hint(plans: PlanFolder, section: str, key: str, hint: str) -> None:
    problem = plans.problem(f"{HEAD}servers: [{{name: web-01}}]\n{section}\n")
    assert (problem.key, problem.hint) == (key, hint)
    assert problem.text == f"the key is not known{' here' if 'belongs' in hint else ''}"


@pytest.mark.parametrize(
    "section",
    [
        *(f"{key}: {{}}" for key in ("hooks", "health", "backup")),
    ],
)
def test_a_key_of_a_later_version_is_not_supported(plans: PlanFolder, section: str) -> None:
    assert plans.problem(f"{HEAD}servers: [{{name: web-01}}]\n{section}\n").expected == "not supported by this version"


@pytest.mark.parametrize(
    ("section", "hint"),
    [
        ("rollout: {hooks: {}}", "it will be `hooks`"),
        ("failure: {backup: {}}", "it will be `backup`"),
    ],
)
def test_a_key_of_a_later_version_in_a_wrong_place_is_not_supported_either(
    plans: PlanFolder, section: str, hint: str
) -> None:
    problem = plans.problem(f"{HEAD}servers: [{{name: web-01}}]\n{section}\n")
    assert (problem.text, problem.hint) == ("not supported by this version", hint)


@pytest.mark.parametrize(
    ("entry", "key", "hint"),
    [
        ("servers: [{nam: web-02}]", "servers[0].nam", "did you mean `name`?"),
        ("servers: [{name: a}, {labels: {a: b}, ids: x}]", "servers[1].ids", "did you mean `id`?"),
        ("servers: [{selct: {az: a}}]", "servers[0].selct", "did you mean `select`?"),
        ("servers: [{name: a}]\nexclude: [{Name: a}]", "exclude[0].Name", "did you mean `name`?"),
        ("servers: [{labels: {a: b}}]", "servers[0]", "each entry has exactly one"),
    ],
)
def test_an_entry_that_names_nobody_says_which_key_was_meant(
    plans: PlanFolder, entry: str, key: str, hint: str
) -> None:
    problem = plans.problem(f"{HEAD}{entry}\n")
    assert (problem.key, problem.hint) == (key, hint)
    assert "expected" not in str(problem)


@pytest.mark.parametrize("name", ["web-*", "web-?1", "web-[01]"])
def test_a_pattern_as_a_name_is_refused_with_a_hint_of_select(plans: PlanFolder, name: str) -> None:
    problem = plans.problem(f'{HEAD}servers: [{{name: "{name}"}}]\n')
    assert "`select: {name:" in (problem.hint or "")
