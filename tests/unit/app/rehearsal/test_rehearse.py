"""The use case: the same plays, by however many processes."""

from pathlib import Path

import pytest

from fleetos.app.rehearsal import rehearse as use_case
from fleetos.app.rehearsal.rehearse import Programme, rehearse
from fleetos.model.steering.rehearsal import Supposition
from tests.unit.app.rehearsal.scripts import BEGIN, PLANNED, script, world, write


@pytest.mark.slow
def test_processes_play_what_one_process_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsed, done = script(write(tmp_path), scenario=world(4)), list[int]()
    programme = Programme((PLANNED, Supposition("concurrency=1", 0.0, 900.0, 1)), 3, None)
    alone = rehearse(rehearsed, programme, lambda: done.append(1))
    monkeypatch.setattr(use_case, "_ALONE_MAX", 0)
    assert rehearse(rehearsed, programme, lambda: done.append(1)) == alone
    assert len(done) == 2 * programme.plays
    assert (alone.cases[1].end.p50 or BEGIN) > (alone.cases[0].end.p50 or BEGIN)
