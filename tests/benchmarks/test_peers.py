"""Side by side: a client that is missing or fails is said to be, and a killed one is gone with all its processes."""

import math
import sys
from pathlib import Path

from benchmarks.clients.ways import FLEETOS, WAYS, Task, Way
from benchmarks.peer_tables import Aftermath, Record, Rollout, cost_table, kill_table
from benchmarks.peers import Choice
from benchmarks.process_tree import Command, run, tree

ROLLOUT = Rollout(calls=10, slot_use=0.9, cpu_ms=20, rss_mib=100, pss_mib=80, wall_s=5, busy=False)
MISSING = Way("a client", "no_such_module", WAYS[1].prepare, ["false"], ["false"])


def test_what_is_missing_or_fails_is_in_the_table() -> None:
    failed = Rollout(*[math.nan] * 6, busy=False, trouble="exit code 3: no cloud")
    records = [
        Record(FLEETOS, [ROLLOUT, ROLLOUT], {}),
        Record(MISSING, [], {"kind": []}),
        Record(WAYS[1], [failed], {}),
    ]
    shown = cost_table(records, "few").markdown()
    assert "a client was not measured: no_such_module is not installed" in shown
    assert "asyncio + httpx failed in 1 of 1 runs: exit code 3: no cloud" in shown
    assert len([line for line in shown.splitlines() if line.startswith("| ")]) == 2 + len(records)
    assert kill_table(records, "few").rows == [["a client", "kind", "-", "-", "-", "-", "-"]]


def test_costs_are_medians_with_ratios_to_fleetos() -> None:
    twice = Rollout(calls=20, slot_use=0.5, cpu_ms=5, rss_mib=50, pss_mib=40, wall_s=10, busy=True)
    ours, theirs = cost_table([Record(FLEETOS, [ROLLOUT], {}), Record(WAYS[1], [twice], {})], "few").rows
    assert ours[:4] == ["fleetos", "10.0 (1.00x)", "90.0 %", "20.0 (1.00x)"]
    assert theirs[:4] == ["asyncio + httpx *", "20.0 (2.00x)", "50.0 %", "5.0 (0.25x)"]


def test_harm_is_summed_over_the_runs() -> None:
    aftermaths = [Aftermath(1, 2, 3, 0, 4.0), Aftermath(0, 1, 0, 10, 6.0)]
    rows = kill_table([Record(FLEETOS, [], {"kind": aftermaths})], "few").rows
    assert rows == [["fleetos", "kind", "1", "3", "3", "0, 10", "5.0"]]


def test_a_strike_leaves_nobody_of_the_tree(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    command = Command(["/bin/sh", "-c", "sleep 60 & echo $! > pids; wait"], tmp_path, {}, tmp_path / "said")
    used = run(command, 60, lambda: file.exists() and file.read_text().endswith("\n"))
    assert used.exit_code is None
    assert used.peak_rss_bytes > 0
    child = int(file.read_text())
    assert tree(child) == [child]
    assert not Path("/proc", str(child)).exists()


def test_what_a_command_used_is_told(tmp_path: Path) -> None:
    command = Command([sys.executable, "-c", "print('x'); raise SystemExit(7)"], tmp_path, {}, tmp_path / "said")
    used = run(command, 60)
    assert used.exit_code == 7
    assert 0 < used.cpu_s <= used.wall_s * 64
    assert (tmp_path / "said").read_text() == "x\n"


def test_every_way_can_be_prepared(tmp_path: Path) -> None:
    task = Task(["11111111-2222-4333-8444-555555555555"], "image", 4, 60.0)
    for way in WAYS:
        way.prepare(tmp_path, task)
    assert {file.name for file in tmp_path.iterdir()} == {"plan.yaml", "job.json", "inventory.json", "ansible.cfg"}


def test_fleetos_is_always_there_and_others_are_chosen_by_the_beginning_of_their_names() -> None:
    chosen = Choice(clients=("asyncio", "thr"))
    assert [way.name for way in filter(chosen.wants, WAYS)] == ["fleetos", "asyncio + httpx", "threads + vendor's SDK"]
    assert list(filter(Choice().wants, WAYS)) == list(WAYS)
    assert Choice(clients=("asyncio", "curl")).unknown() == ["curl"]
