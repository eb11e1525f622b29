"""What hangs in a thread keeps neither its caller nor the process."""

import subprocess
import sys
from pathlib import Path

import pytest

from fleetos.threads import run_abandonable

ROOT = Path(__file__).parents[2]
HANGS_S = 60.0
LEAVES = """
import anyio, threading
from fleetos.threads import run_abandonable

async def give_up():
    with anyio.move_on_after(0.05):
        await run_abandonable(threading.Event().wait)

anyio.run(give_up)
"""


async def test_it_returns_or_raises_what_the_function_does() -> None:
    assert await run_abandonable(lambda: 7) == 7
    with pytest.raises(KeyError):
        await run_abandonable(dict[str, int]().popitem)


def test_a_process_ends_while_an_abandoned_thread_hangs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVES], cwd=ROOT, capture_output=True, text=True, timeout=HANGS_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
