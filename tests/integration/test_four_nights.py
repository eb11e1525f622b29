"""The example plan of four nights, in virtual time: once across the March change of the clocks, once across October's.

The judge is the ledger of the simulated cloud: which server was changed when, in truth.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from fleetos.model.journal.events import Record, RunWaveFinished, RunWaveOpened
from fleetos.model.journal.requests import RequestArguments, RequestKind
from fleetos.model.states import RunState, TargetState
from fleetos.sim.scenario.scenario import Scenario
from fleetos.store.memory_journal import MemoryRun
from tests.support.virtual_rollout import PlayedRollout, most_at_once, roll_out

PLAN = Path(__file__).parents[2] / "plans" / "four-nights.yaml"
BERLIN = ZoneInfo("Europe/Berlin")
SCENARIO = Scenario.model_validate(
    {
        "seed": 1,
        "key_pairs": ["KeyPair-ops"],
        "servers": [
            {"count": 400, "name": "web-###", "az": ["eu-de-01", "eu-de-02", "eu-de-03"], "tags": ["tier=web"]},
            {"count": 150, "name": "app-###", "az": ["eu-de-01", "eu-de-02", "eu-de-03"], "tags": ["tier=app"]},
            {"count": 50, "name": "db-##", "az": ["eu-de-01", "eu-de-02"]},
        ],
    }
)
SIZES = (1, 5, 100, 294, 2, 148, 1, 49)
BAKES_H = (0.5, 16, 16, 16, 1, 1, 1)


def approve_each_wave(store: MemoryRun, records: Sequence[Record]) -> None:
    """Let somebody else approve, one hour after a wave has finished."""
    for record in records:
        if isinstance(record.event, RunWaveFinished):
            wave = RequestArguments(wave=record.event.number + 1)
            store.add_request(RequestKind.APPROVE, "berta", record.at, "looks well", wave)


def night_of(at: datetime) -> str | None:
    """Return the day of the plan's night at that time; None if it is no night of the plan. A scan of its own."""
    local = at.astimezone(BERLIN)
    month_end = (local + timedelta(days=1)).month != local.month
    if month_end and local.hour >= 20 and (local.hour, local.minute) < (23, 30):
        return None
    evening = local if local.hour >= 22 else local - timedelta(days=1)
    if not (local.hour >= 22 or local.hour < 5) or evening.weekday() > 3:
        return None
    return f"{evening:%a %m-%d}"


def waves_of(played: PlayedRollout) -> list[tuple[datetime, datetime]]:
    """Return when each wave opened, and when its last member had ended."""
    opened = [record.at for record in played.store.records if isinstance(record.event, RunWaveOpened)]
    ended = [record.at for record in played.store.records if isinstance(record.event, RunWaveFinished)]
    return list(zip(opened, ended, strict=True))


@pytest.mark.proof
@pytest.mark.parametrize(
    ("begin", "nights"),
    [
        # The clocks of Berlin go forward on Sunday 2026-03-29: nights begin at 21:00 UTC before, at 20:00 UTC after.
        (datetime(2026, 3, 25, 9, tzinfo=UTC), ["Wed 03-25", "Thu 03-26", "Mon 03-30", "Tue 03-31"]),
        # They go back on Sunday 2026-10-25.
        (datetime(2026, 10, 21, 9, tzinfo=UTC), ["Wed 10-21", "Thu 10-22", "Mon 10-26", "Tue 10-27"]),
    ],
    ids=["March", "October"],
)
def test_six_hundred_servers_in_four_nights(begin: datetime, nights: list[str]) -> None:
    played = roll_out(PLAN, SCENARIO, begin, approve_each_wave)
    assert played.store.run.state is RunState.DONE
    assert {target.state for target in played.store.targets.values()} == {TargetState.DONE}
    changes = list(played.changes())
    assert Counter(name for _, name in changes) == Counter(target.name for target in played.store.targets.values())
    assert list(dict.fromkeys(night_of(at) for at, _ in changes)) == nights
    assert Counter(target.wave for target in played.store.targets.values()) == dict(enumerate(SIZES, 1))
    waves = waves_of(played)
    for (_, ended), (opened, _), bake_h in zip(waves, waves[1:], BAKES_H, strict=False):
        assert opened - ended >= timedelta(hours=bake_h)
    check_groups(played)


def check_groups(played: PlayedRollout) -> None:
    """Check by the cloud's own times that no zone, no pair and not the fleet had more out than the plan allows."""
    targets = played.store.targets
    outages = list(played.outages())
    assert most_at_once([(begin, end) for _, begin, end in outages]) <= len(targets) * 5 // 100
    zones = Counter(target.az for target in targets.values())
    for zone, servers in zones.items():
        out = [(begin, end) for server_id, begin, end in outages if targets[server_id].az == zone]
        assert 1 < most_at_once(out) <= servers * 4 // 100
    for pair in {target.labels["pair"] for target in targets.values() if "pair" in target.labels}:
        out = [span for server_id, *span in outages if targets[server_id].labels.get("pair") == pair]
        assert most_at_once([(begin, end) for begin, end in out]) == 1
