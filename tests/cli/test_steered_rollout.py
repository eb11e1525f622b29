"""A rollout with waves, an approval, a budget, groups and windows whose driver dies in each of them.

The real command, and the ledger of the cloud as the judge: `recount` knows plan and ledger, and nothing that fleetos
says but when the budget paused the run.
"""

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fleetos.sim.world.ledger import LedgerEntry
from tests.cli.conftest import SCENARIO
from tests.cli.runner import SharedCloudRunner, StartedCommand
from tests.support.commands import running_cloud, until

NAMES = [f"web-{number:03d}" for number in range(1, 17)]
WAVES = (NAMES[:1], NAMES[1:3], NAMES[3:])
BROKEN = ("web-005", "web-006")
BAKE_S = 2
OUT_MAX = 4
ATTEMPTS_MAX = 2
# What is decided before a window closes reaches the cloud a little later: its commit and its way lie between.
WAY_S = 1.5
FAILS = {"on": "changeos", "do": "fail", "code": "Ecs.0219", "picture": "error", "servers": list(BROKEN)}
# The cloud takes one change, and refuses the others for their number: their servers wait, stopped.
THROTTLES = {"on": "changeos", "do": "throttle", "requests": 1, "per_s": 600}
ROLLOUT = f"""  order: [listed]
  waves:
    - {{name: canary, sizes: [1], then: {{bake: {BAKE_S}s}}}}
    - {{name: few, sizes: [2], then: {{bake: {BAKE_S}s, approval: {{by: other}}}}}}
    - {{name: rest, sizes: [100%]}}
  max_unavailable: [{{per: all, value: {OUT_MAX}}}]"""
Span = tuple[datetime, datetime]


def one_window() -> list[Span]:
    """Return a window that stays open."""
    now = datetime.now(UTC).replace(microsecond=0)
    return [(now - timedelta(hours=1), now + timedelta(days=300))]


def open_and_closed(open_s: int, closed_s: int) -> list[Span]:
    """Return windows that open and close by turns, so that one closes soon whenever a scene begins."""
    begin = datetime.now(UTC).replace(microsecond=0)
    return [
        (
            begin + timedelta(seconds=n * (open_s + closed_s)),
            begin + timedelta(seconds=n * (open_s + closed_s) + open_s),
        )
        for n in range(40)
    ]


@dataclass
class Rollout:
    """A run of anna's, driven by one process after the other."""

    runner: SharedCloudRunner
    windows: list[Span]
    driver: StartedCommand
    approved_at: float = 0
    no_sends: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """Spans in which the budget had paused the run."""

    @property
    def run(self) -> str:
        return self.driver.run_id

    def kill(self) -> None:
        """Kill the driver without a warning; what it sent last still reaches the cloud."""
        self.driver.kill()

    def resume(self, *reason: str) -> None:
        """Let another process drive the run."""
        run = self.run
        self.driver = self.runner.begin("resume", run, *reason)
        self.driver.until("run.driver-started")

    def ask(self, *arguments: str) -> int:
        """Run a command of another terminal, and return its exit code."""
        return self.runner.invoke(*arguments).returncode

    def changeos(self) -> list[LedgerEntry]:
        """Return all requests for a change, in their order, also refused ones."""
        return [write for write in self.runner.writes(NAMES) if write.operation == "changeos"]

    def waits(self) -> set[str]:
        """Return what the servers of the last wave wait for."""
        waits = (target["waits_for"] for target in self.runner.status(self.run)["targets"] if target["wave"] == 3)
        return {wait["detail"] for wait in waits if wait}


@contextmanager
def begun(folder: Path, windows: list[Span]) -> Generator[Rollout]:
    """Yield a rollout under way, in a cloud of its own."""
    for name in ("cloud", "play"):
        (folder / name).mkdir()
    with (
        running_cloud(folder / "cloud", {**SCENARIO, "servers": [{"count": len(NAMES), "name": "web-###"}]}) as cloud,
        SharedCloudRunner.at(cloud, folder / "play", iter(NAMES)) as runner,
    ):
        runner.env["FLEETOS_OPERATOR"] = "anna"
        runner.faults(FAILS)
        path = runner.write_plan(NAMES, concurrency=6, attempts=ATTEMPTS_MAX, rollout=ROLLOUT)
        text = Path(path).read_text(encoding="utf-8")
        text = text.replace("failure: {", "failure: {max_failed: 1, max_failed_per_wave: 100%, ")
        allow = (f"{{since: {begin:%Y-%m-%dT%H:%M:%SZ}, until: {end:%Y-%m-%dT%H:%M:%SZ}}}" for begin, end in windows)
        text += f"windows: {{fit: none, retries: wait, allow: [{', '.join(allow)}]}}\n"
        yield Rollout(runner, windows, runner.begin("apply", runner.plan(text), "--yes"))


def die_in_wave_one(rollout: Rollout) -> None:
    rollout.driver.until("target.submitting")
    rollout.kill()


def die_while_baking(rollout: Rollout) -> None:
    rollout.resume()
    rollout.driver.until("run.wave-finished")
    rollout.kill()
    assert {write.servers[0] for write in rollout.changeos()} == {server_id(rollout, "web-001")}


def die_while_waiting_for_the_approval(rollout: Rollout) -> None:
    rollout.resume()
    words = f"wave 3 waits for an approval by somebody other than anna: fleetos approve {rollout.run} --wave 3"
    until(lambda: rollout.waits() == {words}, look_every_s=0.2)
    rollout.kill()
    approve = ("approve", rollout.run, "--wave", "3", "--reason", "the few are fine")
    assert rollout.ask(*approve) == 64
    rollout.approved_at = time.time()
    assert rollout.ask(*approve, "--as", "berta") == 0


def die_in_wave_three(rollout: Rollout) -> None:
    rollout.resume()
    rollout.driver.until("target.changing")
    rollout.kill()


def die_while_the_window_closes_over_stopped_servers(rollout: Rollout) -> list[str]:
    rollout.resume()
    rollout.driver.until("target.restoring")
    rollout.kill()
    return [str(event["server"]) for event in rollout.driver.events if event["type"] == "target.restoring"]


def die_when_the_budget_has_paused_the_run(rollout: Rollout) -> None:
    rollout.resume()
    rollout.driver.until("run.paused")
    paused_at = datetime.fromisoformat(rollout.driver.events[-1]["at"]).timestamp()
    rollout.kill()
    assert rollout.ask("resume", rollout.run) == 64
    assert rollout.runner.fleetos("apply", "plan.yaml", "--yes").returncode == 11
    assert rollout.runner.status(rollout.run)["run"]["pause"]["detail"] == "more than 1 of 16 failed (2)"
    rollout.no_sends.append((paused_at, time.time()))


def finish(rollout: Rollout) -> None:
    """Let the others be changed, and then those that failed, once the cloud is healed."""
    rollout.resume("--reason", "two are broken, and known")
    ended = rollout.driver.end()
    # A driver that died between a send and its answer left one whose outcome nobody knows.
    known = not any("never answered" in explained(rollout, name) for name in BROKEN)
    assert ended.returncode == (10 if known else 22)
    rollout.runner.faults()
    assert rollout.runner.fleetos("retry", rollout.run, "--yes").returncode == 0


def explained(rollout: Rollout, name: str) -> str:
    done = rollout.runner.invoke("explain", rollout.run, name)
    assert done.returncode == 0, done.stderr
    return done.stdout


def server_id(rollout: Rollout, name: str) -> str:
    return str(rollout.runner.servers()[name]["id"])


def recount(rollout: Rollout) -> None:
    """Check by the ledger alone that nothing was sent outside the rules of the plan."""
    servers = rollout.runner.servers()
    accepted = [write for write in rollout.changeos() if write.came == "accepted"]
    changes = {name: [write for write in accepted if write.servers == [servers[name]["id"]]] for name in NAMES}
    check_changed_once(changes)
    check_windows(rollout)
    check_waves(rollout, changes)
    check_budget(rollout)
    check_out(rollout.runner.writes(NAMES), servers)
    assert {name for name in NAMES if servers[name]["vm_state"] != "active"} == set()


def check_changed_once(changes: Mapping[str, list[LedgerEntry]]) -> None:
    """Check that each server was changed once, after attempts that failed if it was broken."""
    for name, writes in changes.items():
        failed = ["failed"] * (ATTEMPTS_MAX if name in BROKEN else 0)
        assert [write.ended for write in writes] == [*failed, "success"], name


def check_windows(rollout: Rollout) -> None:
    for write in rollout.changeos():
        opens = [begin.timestamp() <= write.sent_at < end.timestamp() + WAY_S for begin, end in rollout.windows]
        assert any(opens), write


def check_waves(rollout: Rollout, changes: Mapping[str, list[LedgerEntry]]) -> None:
    """Check that no wave began before the end and the bake of the one before, nor the last before its approval."""
    for before, wave in pairwise(WAVES):
        ended_at = max(write.ended_at or 0 for name in before for write in changes[name])
        assert min(write.sent_at for name in wave for write in changes[name]) >= ended_at + BAKE_S
    assert min(write.sent_at for name in WAVES[-1] for write in changes[name]) >= rollout.approved_at


def check_budget(rollout: Rollout) -> None:
    for begin, end in rollout.no_sends:
        assert [write for write in rollout.changeos() if begin + WAY_S <= write.sent_at < end] == []


def check_out(writes: list[LedgerEntry], servers: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that no more servers were out at once than may be, and that none was stopped twice without a use of it."""
    moments: list[tuple[float, int, str]] = []
    for server in servers.values():
        stopped = False
        for write in writes:
            if write.came != "accepted" or server["id"] not in write.acted_on + write.servers:
                continue
            if write.operation == "stop":
                assert not stopped, f"{server['name']} was stopped twice"
                stopped = True
                moments.append((write.at or 0, 1, server["id"]))
            elif write.operation == "start" or write.ended == "success":
                stopped = False
                moments.append((write.ended_at or 0, 0, server["id"]))
    out: set[str] = set()
    for _, goes_out, which in sorted(moments):
        (out.add if goes_out else out.discard)(which)
        assert len(out) <= OUT_MAX
    assert out == set()


@pytest.mark.slow
def test_a_steered_run_whose_driver_dies_again_and_again_sends_nothing_outside_its_rules(tmp_path: Path) -> None:
    with begun(tmp_path, one_window()) as rollout:
        die_in_wave_one(rollout)
        die_while_waiting_for_the_approval(rollout)
        die_when_the_budget_has_paused_the_run(rollout)
        finish(rollout)
        recount(rollout)


@pytest.mark.proof
def test_the_same_with_windows_that_close_and_a_death_in_each_of_its_scenes(tmp_path: Path) -> None:
    with begun(tmp_path, open_and_closed(14, 8)) as rollout:
        die_in_wave_one(rollout)
        die_while_baking(rollout)
        die_while_waiting_for_the_approval(rollout)
        rollout.runner.faults(THROTTLES, FAILS)
        die_in_wave_three(rollout)
        ahead = die_while_the_window_closes_over_stopped_servers(rollout)
        rollout.runner.faults(FAILS)
        die_when_the_budget_has_paused_the_run(rollout)
        finish(rollout)
        recount(rollout)
        writes = rollout.runner.writes(ahead)
        assert {write.operation for write in writes if write.came == "accepted"} >= {"stop", "start", "changeos"}
