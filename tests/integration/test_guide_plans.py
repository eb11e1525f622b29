"""The plans of the guide pages about waves and windows, in virtual time. The ledger says what was changed when."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleetos.model.journal.events import Record, RunApproved, RunWaveFinished
from fleetos.model.journal.requests import RequestArguments, RequestKind
from fleetos.model.states import RunState
from fleetos.sim.scenario.scenario import Scenario
from fleetos.store.memory_journal import MemoryRun
from tests.support.virtual_rollout import PlayedRollout, Watch, roll_out

DOCS = Path(__file__).parents[2] / "docs"
BEGIN = datetime(2026, 11, 27, 12, tzinfo=UTC)
FREEZE = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//example//EN
BEGIN:VEVENT
UID:1@example
DTSTAMP:20261101T000000Z
DTSTART:20261130T200000Z
DTEND:20261130T230000Z
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n")
TIERS = """servers:
  - {select: {tags: {tier: web}}, labels: {tier: web}}
  - {select: {tags: {tier: db}}, labels: {tier: db}}
"""


def plans_of(page: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def fleet(*groups: Mapping[str, object]) -> Scenario:
    return Scenario.model_validate({"seed": 1, "key_pairs": ["KeyPair-350b"], "servers": list(groups)})


def approve_by(*operators: str) -> Watch:
    """Let these operators approve the next wave, one after the other, as soon as a wave has finished."""

    def watch(store: MemoryRun, records: Sequence[Record]) -> None:
        for record in records:
            match record.event:
                case RunWaveFinished(number=number):
                    wave, by = number + 1, operators[0]
                case RunApproved(number=number, by=approver) if approver != operators[-1]:
                    wave, by = number, operators[operators.index(approver) + 1]
                case _:
                    continue
            store.add_request(RequestKind.APPROVE, by, record.at, "looks well", RequestArguments(wave=wave))

    return watch


def nobody(store: MemoryRun, records: Sequence[Record]) -> None:
    """Watch, and ask for nothing."""


def play(folder: Path, plan: str, scenario: Scenario, watch: Watch) -> PlayedRollout:
    (folder / "plan.yaml").write_text(plan, encoding="utf-8")
    (folder / "freezes.ics").write_text(FREEZE, encoding="utf-8", newline="")
    return roll_out(folder / "plan.yaml", scenario, BEGIN, watch)


def waves_of(played: PlayedRollout, sizes: Sequence[int]) -> list[list[tuple[datetime, str]]]:
    """Return when each server was changed, by wave: the changes in their order, cut into waves of these sizes."""
    changes = iter(played.changes())
    waves = [[next(changes) for _ in range(size)] for size in sizes]
    assert list(changes) == []
    return waves


def check_pauses(waves: Sequence[Sequence[tuple[datetime, str]]], bakes: Sequence[timedelta]) -> None:
    """Check that at least the bake lies between the last change of a wave and the first one of the next."""
    for before, after, bake in zip(waves, waves[1:], bakes, strict=False):
        assert min(at for at, _ in after) - max(at for at, _ in before) > bake


def approvals(played: PlayedRollout) -> list[tuple[int, str]]:
    return [
        (record.event.number, record.event.by)
        for record in played.store.records
        if isinstance(record.event, RunApproved)
    ]


def test_forty_servers_in_four_waves_with_an_approval_before_each(tmp_path: Path) -> None:
    whole, _ = plans_of("waves.md")
    played = play(tmp_path, whole, fleet({"count": 40, "name": "web-##", "tags": ["role=web"]}), approve_by("berta"))
    assert played.store.run.state is RunState.DONE
    check_pauses(waves_of(played, (1, 5, 10, 24)), [timedelta(minutes=30)] * 3)
    assert approvals(played) == [(2, "berta"), (3, "berta"), (4, "berta")]


def test_each_tier_has_waves_of_its_own_and_two_of_three_approve_the_canaries(tmp_path: Path) -> None:
    _, entries = plans_of("waves.md")
    head = "version: 1\nname: tiers\nchange: {image: Standard_Debian_12_latest, keyname: KeyPair-350b}\n"
    tiers = ({"count": 40, "name": "web-##", "tags": ["tier=web"]}, {"count": 4, "name": "db-#", "tags": ["tier=db"]})
    played = play(tmp_path, head + TIERS + entries, fleet(*tiers), approve_by("anna", "carl"))
    assert played.store.run.state is RunState.DONE
    waves = waves_of(played, (1, 5, 10, 24, 1, 3))
    assert ["".join(sorted({name.partition("-")[0] for _, name in wave})) for wave in waves] == ["web"] * 4 + ["db"] * 2
    check_pauses(waves, [timedelta(hours=16)] * 2 + [timedelta(hours=1)] * 3)
    assert approvals(played)[:4] == [(2, "anna"), (2, "carl"), (3, "anna"), (3, "carl")]


def test_a_database_goes_on_saturday_and_the_other_when_the_freeze_of_monday_is_over(tmp_path: Path) -> None:
    pytest.importorskip("recurring_ical_events")
    (plan,) = plans_of("windows.md")
    played = play(tmp_path, plan, fleet({"count": 2, "name": "web-##"}), nobody)
    assert played.store.run.state is RunState.DONE
    (saturday, database), (monday, web) = played.changes()
    assert (database, web) == ("web-02", "web-01")
    # 01:00 of Saturday and 00:00 of Tuesday in Berlin: a stop goes before each.
    for at, opens in ((saturday, datetime(2026, 11, 28, tzinfo=UTC)), (monday, datetime(2026, 11, 30, 23, tzinfo=UTC))):
        assert timedelta() <= at - opens < timedelta(minutes=10)
