"""Who holds a lease, and whether that process lives."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleetos.store import process as module
from fleetos.store.process import Holder, Life, holder_from, holder_json, is_stopped, life_of, this_process


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def holder_of(pid: int) -> Holder:
    stat = module._read_stat(pid)
    assert stat is not None
    return replace(this_process(), pid=pid, started=stat[1])


def test_this_process_is_alive_and_complete() -> None:
    me = this_process()
    assert me.pid == os.getpid()
    assert None not in (me.boot, me.namespace, me.started)
    assert me.machine
    assert life_of(me, me) is Life.ALIVE
    assert holder_from(holder_json(me)) == me


def test_a_user_whose_name_is_no_utf_8_can_be_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "\udcff\u00e9")
    me = this_process()
    assert me.user == "\\udcff\u00e9"
    assert holder_from(holder_json(me)) == me


def test_a_killed_process_is_dead_and_a_zombie_too(sleeper: subprocess.Popen[bytes]) -> None:
    them = holder_of(sleeper.pid)
    assert life_of(them, this_process()) is Life.ALIVE
    sleeper.kill()
    # Not waited for yet: it is a zombie until then.
    deadline = time.monotonic() + 60
    while life_of(them, this_process()) is not Life.DEAD:
        assert time.monotonic() < deadline
    sleeper.wait()
    assert life_of(them, this_process()) is Life.DEAD


def test_a_stopped_process_is_not_dead(sleeper: subprocess.Popen[bytes]) -> None:
    them = holder_of(sleeper.pid)
    sleeper.send_signal(signal.SIGSTOP)
    os.waitpid(sleeper.pid, os.WUNTRACED)
    assert life_of(them, this_process()) is Life.STOPPED
    assert is_stopped(sleeper.pid)


def test_a_pid_that_was_given_to_another_process_is_dead() -> None:
    me = this_process()
    assert me.started is not None
    assert life_of(replace(me, started=me.started - 1), me) is Life.DEAD


@pytest.mark.parametrize("key", ["machine", "boot", "namespace"])
def test_nothing_is_said_about_other_places(key: str) -> None:
    me = this_process()
    gone = replace(me, started=1)
    assert life_of(replace(gone, **{key: "another"}), me) is Life.ELSEWHERE


@pytest.mark.parametrize("key", ["boot", "namespace", "started"])
def test_nothing_is_said_where_the_system_tells_too_little(key: str) -> None:
    unknown = replace(this_process(), **{key: None})
    assert life_of(unknown, unknown) is Life.ELSEWHERE


def test_a_process_that_proc_hides_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    me = this_process()
    monkeypatch.setattr(module, "PROC", Path("/nonexistent"))
    assert life_of(me, me) is Life.ELSEWHERE


def test_a_name_with_brackets_does_not_mislead() -> None:
    script = (
        "import ctypes, sys; ctypes.CDLL(None).prctl(15, b'a) Z 1 (b', 0, 0, 0); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert life_of(holder_of(process.pid), this_process()) is Life.ALIVE
        process.kill()
