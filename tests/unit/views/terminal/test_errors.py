"""Errors say what went wrong and what to do next."""

from fleetos.errors import AuthenticationFailed, CloudUnreachable, InputError, Problem, UsageError
from fleetos.views.terminal.errors import failure
from tests.unit.views.text.test_format import HOSTILE


def test_what_and_what_next() -> None:
    text = failure(UsageError("no run 2b7c", "`fleetos runs` lists them"))
    assert text.plain == "error: no run 2b7c\nhint: `fleetos runs` lists them"
    assert failure(UsageError("no run 2b7c")).plain == "error: no run 2b7c"


def test_the_cloud_is_quoted_with_code_status_and_request_id() -> None:
    error = AuthenticationFailed("login refused", "see clouds.yaml", code="Ecs.0314", status=401, request_id="req-1")
    lines = failure(error).plain.split("\n")
    assert lines[0] == "error: login refused"
    assert lines[1].startswith("  the cloud said Ecs.0314, ")
    assert lines[1].endswith(" (HTTP 401)")
    assert lines[2:] == ["  request req-1", "hint: see clouds.yaml"]
    lines = failure(CloudUnreachable("the login: x", status=503)).plain.split("\n")
    assert lines[0] == "error: the login: x"
    assert lines[1].startswith("  the cloud could not be reached")
    assert lines[2:] == ["  the cloud answered HTTP 503"]


def test_what_the_message_says_is_not_said_again() -> None:
    error = AuthenticationFailed("HTTP 401, Ecs.0314 [request req-1]", code="Ecs.0314", status=401, request_id="req-1")
    assert failure(error).plain == "error: HTTP 401, Ecs.0314 [request req-1]"


def test_every_problem_of_a_plan_is_a_block_of_its_own() -> None:
    error = InputError(
        (
            Problem("plan.yaml", 3, 5, "change.keynme", "a known key", "did you mean `keyname`?"),
            Problem("plan.yaml", None, None, "", "the file is empty"),
        )
    )
    assert failure(error).plain == (
        "error: plan.yaml:3:5: change.keynme: expected a known key\n"
        "hint: did you mean `keyname`?\n"
        "error: plan.yaml: the file is empty"
    )


def test_only_the_label_is_coloured() -> None:
    text = failure(UsageError("no run", "look"))
    assert [text.plain[span.start : span.end] for span in text.spans if "red" in str(span.style)] == ["error: "]
    assert [text.plain[span.start : span.end] for span in text.spans if "cyan" in str(span.style)] == ["hint: "]


def test_line_breaks_of_a_message_stay_and_everything_else_is_printable() -> None:
    assert failure(UsageError("first\nsecond")).plain == "error: first\n  second"
    shown = failure(CloudUnreachable(HOSTILE, HOSTILE, code=HOSTILE, request_id=HOSTILE)).plain
    assert all(line.isprintable() for line in shown.split("\n"))
