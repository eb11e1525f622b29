import json
import os
from hashlib import sha256
from pathlib import Path
from typing import cast

import pytest

from fleetos.errors import InputError, UsageError
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.scenario.faults import Refuse
from fleetos.sim.scenario.scenario import Scenario
from fleetos.sim.server.serve import open_world
from fleetos.sim.server.state_folder import StateFolder
from fleetos.sim.world import journal as journals
from fleetos.sim.world.journal import FORMAT, load_journal
from fleetos.sim.world.orders import ForeignOrder, SetFaults
from tests.unit.sim.harness import BORN, JournaledSimHarness

RULES = [
    {"on": "stop", "do": "cut-after", "nth": [2]},
    {"on": "changeos", "do": "fail", "rate": 0.5, "picture": ["old-disk", "error", "no-disk", "new-disk"]},
    {"on": "changeos", "do": "double", "rate": 0.3, "seconds": [5, 200]},
    {"on": "write", "do": "cut-before", "rate": 0.1},
    {"on": "detail", "do": "throttle", "requests": 5, "per_s": 30},
]


def replayed(path: Path, now: float) -> SimulatedCloud:
    journal, entries = load_journal(path)
    cloud = SimulatedCloud(journal.header.scenario, journal.header.born_at, lambda: now, journal)
    for entry in entries:
        cloud.replay(entry)
    cloud.advance()
    return cloud


def truth(cloud: SimulatedCloud) -> object:
    ledger = cloud.world.ledger.as_dict(cloud.world.now)
    del ledger["requests"]
    for write in cast("list[dict[str, object]]", ledger["writes"]):
        # What a change said is in memory alone: digests of secrets do not belong on a disk.
        del write["content"]
    return ledger, [server.snapshots for server in cloud.world.servers.values()], cloud.world.jobs


def busy(path: Path) -> JournaledSimHarness:
    sim = JournaledSimHarness(path, servers=[{"count": 6, "name": "web-###"}], faults=RULES)
    for turn in range(30):
        name = f"web-00{turn % 6 + 1}"
        sim.send("POST", "/v1/{p}/cloudservers/action", {"os-stop": {"servers": [{"id": sim.id(name)}]}})
        sim.wait(12)
        sim.send_change(name, adminpass="Never-On-Disk-1")
        sim.wait(33)
        if turn == 20:
            rule = Refuse.model_validate({"do": "refuse", "on": "stop", "rate": 0.5})
            sim.cloud.execute_order(SetFaults(kind="faults", rules=(rule,)))
            sim.cloud.execute_order(ForeignOrder(kind="foreign", server_id=sim.id("web-002"), act="lock"))
    return sim


def test_a_world_is_the_fold_of_its_journal(tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    sim = busy(path)
    assert len(sim.ledger().writes) > 60
    again = replayed(path, sim.now)
    assert truth(again) == truth(sim.cloud)
    stored = path.read_text()
    assert "Never-On-Disk" not in stored
    assert {write.content is not None for write in sim.ledger().writes if write.operation == "changeos"} == {True}
    assert sha256(b"Never-On-Disk-1").hexdigest() not in stored


def test_effects_that_were_due_while_nobody_ran_the_world_happen(tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    sim = JournaledSimHarness(path, servers=[{"state": "stopped"}])
    sim.change()
    again = replayed(path, sim.now + 5000)
    assert [server.status for server in again.world.servers.values()] == ["ACTIVE"]
    assert again.world.ledger.writes[0].ended_at == BORN + 100


def test_the_count_of_a_rule_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    sim = JournaledSimHarness(
        path, servers=[{"count": 2, "name": "web-###"}], faults=[{"on": "stop", "do": "cut-after", "nth": [2]}]
    )
    sim.power("os-stop", "web-001")
    sim.cloud = replayed(path, sim.now)
    with pytest.raises(AssertionError, match="Cut"):
        sim.power("os-stop", "web-001")


def test_request_ids_do_not_repeat_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    sim = JournaledSimHarness(path, servers=[{"count": 3, "name": "web-###"}])
    for number in (1, 2, 3):
        sim.power("os-stop", f"web-00{number}")
        sim.cloud = replayed(path, sim.now)
    ids = [write.request_id for write in sim.ledger().writes]
    assert len(set(ids)) == len(ids) == 3


def test_a_line_that_was_not_finished_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    sim = JournaledSimHarness(path, servers=[{"state": "stopped"}])
    sim.change()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"at": 18000')
    assert len(replayed(path, sim.now).world.ledger.writes) == 1
    assert path.read_bytes() == whole


@pytest.mark.parametrize("text", ["", "\n", "{}\n", "[]\n", "x\n", '{"format": 1}\n'])
def test_a_file_that_is_no_journal(tmp_path: Path, text: str) -> None:
    path = tmp_path / "world.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match="cannot be read as the journal"):
        load_journal(path)


def test_a_journal_of_another_format(tmp_path: Path) -> None:
    path = tmp_path / "world.jsonl"
    JournaledSimHarness(path)
    header = json.loads(path.read_text())
    path.write_text(json.dumps({**header, "format": FORMAT + 1}) + "\n")
    with pytest.raises(InputError, match="another version"):
        load_journal(path)


def test_a_full_world_takes_no_more_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "SIM_WRITES_MAX", 1)
    sim = JournaledSimHarness(tmp_path / "world.jsonl", servers=[{"count": 2, "name": "web-###"}])
    assert sim.power("os-stop", "web-001")[0] == 200
    assert sim.power("os-stop", "web-002")[0] == 503
    assert len(sim.ledger().writes) == 1


def test_a_home_has_one_occupant_and_private_files(tmp_path: Path) -> None:
    home = StateFolder(tmp_path / "state" / "sim")
    assert home.server_pid() is None
    with home.hold():
        assert home.server_pid() is not None
        with pytest.raises(UsageError, match="another process"), StateFolder(home.path).hold():
            pass
        cloud, world = open_world(home.journal, Scenario(), lambda: BORN)
        home.write_address("http://127.0.0.1:1", world)
    assert home.server_pid() is None
    assert home.read_address() == ("http://127.0.0.1:1", world)
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in home.path.iterdir()} == {0o600}
    assert open_world(home.journal, Scenario(seed=9), lambda: BORN)[1] == world
    home.delete_world()
    assert home.read_address() is None
    anew, _ = open_world(home.journal, Scenario(seed=9), lambda: BORN)
    assert anew.world.servers.keys() != cloud.world.servers.keys()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o177])
def test_a_home_is_private_with_all_that_was_made_for_it(tmp_path: Path, umask: int) -> None:
    home = StateFolder(tmp_path / "state" / "fleetos" / "sim")
    before = os.umask(umask)
    try:
        with home.hold():
            _, world = open_world(home.journal, Scenario(), lambda: BORN)
            home.write_address("http://127.0.0.1:1", world)
    finally:
        os.umask(before)
    made = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "state", *(tmp_path / "state").rglob("*"))}
    assert len(made) > 4
    assert not {path: oct(mode) for path, mode in made.items() if mode != (0o700 if path.is_dir() else 0o600)}
    home.create()
    (tmp_path / "taken").touch()
    with pytest.raises(FileExistsError):
        StateFolder(tmp_path / "taken").create()


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    StateFolder(tmp_path / "sim").create()
    assert tmp_path.stat().st_mode & 0o777 == 0o755
