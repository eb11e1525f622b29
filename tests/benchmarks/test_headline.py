"""The headline runs, small, and says what it should."""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.headline import QUICK_CASES, QUICK_SERVERS


def test_a_quick_headline_prints_and_writes_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["headline", "--quick", "--servers", "8", "--output", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "Headline, in virtual time: 8 servers" in shown
    (markdown,) = tmp_path.glob("*.md")
    assert markdown.read_text(encoding="utf-8") == shown
    (numbers,) = tmp_path.glob("*.json")
    told = json.loads(numbers.read_text(encoding="utf-8"))
    cases = told["sections"]["headline"]["cases"]
    assert list(cases) == [case.name for case in QUICK_CASES]
    for case in cases.values():
        assert case["servers done"] == 8 < QUICK_SERVERS
        assert 0.5 < case["slot use"] <= 1.0
        assert case["calls/server"] > 3
    assert {"date", "command", "machine", "python", "libraries"} <= set(told)


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "python -m benchmarks headline" in capsys.readouterr().out
