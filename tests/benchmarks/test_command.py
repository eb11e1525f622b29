"""The command: a measurement that fails leaves its reason, and the others, in the report."""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import Asked, main
from benchmarks.report import Section, Table


def test_a_measurement_that_fails_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_asked: Asked) -> Section:
        raise RuntimeError("no such cloud")

    def succeed(_asked: Asked) -> Section:
        return Section("well", [Table("Well", ("", "s"), [["this", "1"]])], {"s": 1})

    monkeypatch.setattr("benchmarks.__main__.MEASUREMENTS", {"ill": fail, "well": succeed})
    assert main(["--output", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert "RuntimeError: no such cloud" in shown
    assert "### Well" in shown
    (numbers,) = tmp_path.glob("*.json")
    sections = json.loads(numbers.read_text(encoding="utf-8"))["sections"]
    assert sections == {"ill": {"failed": "RuntimeError: no such cloud"}, "well": {"s": 1}}
