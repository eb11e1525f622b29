"""The engine killed again and again while the cloud misbehaves: still exactly one successful change a server.

Each play is drawn from a seed that is printed; FLEETOS_TEST_SEED repeats one.
"""

import os
import random
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.commands import CommandRunner, kill_after, running_cloud, until
from tests.support.fork_server import ForkedProcess
from tests.support.ledger import (
    changes_per_server,
    changes_sent_too_early,
    stopped_by_us,
    successful_disks_destroyed,
    writes_while_changing,
)
from tests.support.plan_texts import PACE, plan

pytestmark = pytest.mark.slow

KILLS = 8
SETTLE_S = 3.0


def seed_of() -> int:
    """The seed of this process: given, or fresh."""
    return int(os.environ.get("FLEETOS_TEST_SEED") or secrets.randbelow(10**6))


def misery(seed: int, count: int) -> Mapping[str, object]:
    """A cloud that shows a change as a stopped, idle server, forgets its jobs, and loses a quarter of all submits."""
    return {
        "seed": seed,
        "servers": [{"count": count, "name": "web-###", "state": {"running": 0.8, "stopped": 0.2}}],
        "durations": {"stop": [0.2, 0.8], "start": [0.2, 0.5], "change": [0.6, 1.4], "job_init": [0.02, 0.2]},
        "change": {"picture": "idle", "job_vanishes_after_s": 1.0},
        "tokens": {"lifetime_s": 4},
        "faults": [
            {"do": "cut-after", "on": "changeos", "rate": 0.125},
            {"do": "cut-before", "on": "changeos", "rate": 0.125},
            {"do": "cut-after", "on": "stop", "rate": 0.1},
            {"do": "fail", "on": "changeos", "rate": 0.08, "nth": [1], "code": ["Ecs.0219"], "picture": ["old-disk"]},
        ],
    }


def killed_on_the_way(runner: CommandRunner, arguments: Sequence[str], after_s: float) -> bool:
    """Whether the command was killed, so long after its first event: the run is in the database from then on."""
    told = runner.folder / "events.jsonl"
    with told.open("w") as out:
        process = ForkedProcess((*arguments, "-o", "jsonl"), runner.folder, runner.env, stdout=out.fileno())
    until(lambda: told.stat().st_size > 0 or process.poll() is not None)
    return kill_after(process, after_s)


def play_with_kills(runner: CommandRunner, text: str, chance: random.Random) -> tuple[int, int]:
    """The exit code of the session that was left alone, and how many sessions of the run were killed before it."""
    arguments = ["apply", runner.plan(text), "--yes"]
    killed = 0
    while killed < KILLS and killed_on_the_way(runner, arguments, chance.uniform(0.0, 2.2)):
        arguments = ["resume"]
        killed += 1
    done = runner.fleetos(*arguments, timeout_s=170)
    assert done.returncode in (0, 10, 22), f"{done.stdout}\n{done.stderr}"
    return done.returncode, killed


def test_eight_kills_and_lost_answers_change_each_server_once(tmp_path: Path) -> None:
    seed = seed_of()
    print(f"FLEETOS_TEST_SEED={seed}")
    chance = random.Random(seed)
    names = [f"web-{number:03d}" for number in range(1, 51)]
    with running_cloud(tmp_path, misery(seed, len(names))) as runner:
        code, killed = play_with_kills(runner, plan(names, concurrency=15, attempts=4, pace=PACE), chance)
        ledger, truth, status = runner.ledger(), runner.truth(), runner.status()
    assert killed == KILLS, "the run ended before it was killed often enough"
    assert successful_disks_destroyed(ledger) == []
    assert changes_sent_too_early(ledger, SETTLE_S) == []
    assert writes_while_changing(ledger) == []
    accepted = changes_per_server(ledger)
    successful = {disk.made_by for disk in ledger.disks if disk.successful and disk.made_by is not None}
    per_server = {server: sum(write.seq in successful for write in writes) for server, writes in accepted.items()}
    assert set(per_server.values()) <= {0, 1}
    done = {target["server_id"] for target in status["targets"] if target["state"] == "done"}
    assert {server for server, count in per_server.items() if count == 1} >= done
    held = {target["server_id"] for target in status["targets"] if target["state"] in ("held", "failed")}
    assert set(stopped_by_us(ledger, truth)) <= held
    if code == 0:
        assert len(done) == len(names)
