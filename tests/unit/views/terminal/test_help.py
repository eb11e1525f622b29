"""The panels of help show every parameter with what is known of it, and leave out what is not."""

import pytest

from fleetos.views.terminal.help import Parameter, print_help

RUN = Parameter("RUN", "", "TEXT", "Id of the run.", "", "", required=True)
DB = Parameter("--db", "-d", "FILE|URL", "Database.", "FLEETOS_DB", "fleetos.db", required=False)
QUIET = Parameter("--quiet", "-q", "", "", "", "", required=False)


def shown(capsys: pytest.CaptureFixture[str], *parameters: Parameter) -> str:
    print_help("Usage: x RUN", "First.\n\nSecond.", {"Options": parameters, "Empty": ()}, {})
    return capsys.readouterr().out


def test_a_parameter_is_shown_with_its_form_its_meaning_and_what_stands_for_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "100")
    text = shown(capsys, RUN, DB, QUIET)
    assert "Usage: x RUN" in text
    assert text.index("First.") < text.index("Second.")
    (run,) = (line for line in text.splitlines() if "Id of the run." in line)
    assert "*" in run
    assert "[required]" in run
    (database,) = (line for line in text.splitlines() if "--db" in line)
    assert "[env var: FLEETOS_DB]" in database
    assert "[default: fleetos.db]" in database
    (quiet,) = (line for line in text.splitlines() if "--quiet" in line)
    assert "[" not in quiet
    # A panel without parameters is none.
    assert "Empty" not in text


@pytest.mark.parametrize("columns", [40, 60, 120])
def test_no_line_is_wider_than_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", str(columns))
    assert max(map(len, shown(capsys, RUN, DB, QUIET).splitlines())) <= columns


def test_commands_are_listed_with_the_first_paragraph_of_their_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    print_help("Usage: x", "", {}, {"Commands": (("apply", "Apply a plan.\n\nIn depth."), ("status", "Show a run."))})
    text = capsys.readouterr().out
    assert "Apply a plan." in text
    assert "In depth." not in text
    assert text.index("apply") < text.index("status")
