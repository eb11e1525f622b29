"""What holds in every world, whatever is done to it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fleetos.sim.world.orders import ForeignOrder
from tests.support import ledger as judge
from tests.support.seeded_examples import EXAMPLES_FACTOR
from tests.unit.sim.harness import SimHarness

PICTURES = ["rebuild", "idle", "no-disk", "early-disk"]
RULES: list[dict[str, object]] = [
    {"on": "changeos", "do": "fail", "rate": 0.4, "picture": ["old-disk", "no-disk", "new-disk", "error"]},
    {"on": "changeos", "do": "show", "picture": PICTURES, "image_flips": ["start", "end", "late", "never"]},
    {"on": "write", "do": "double", "rate": 0.2, "seconds": [0, 150]},
    {"on": "write", "do": "late", "rate": 0.2, "seconds": [0, 150]},
    {"on": "write", "do": "lag", "rate": 0.2, "seconds": [0, 60]},
    {"on": "write", "do": "no-effect", "rate": 0.1},
]
NAMES = ("web-001", "web-002")
ACTS = ("stop", "start", "change", "delete", "foreign change", "foreign stop", "lock", "unlock", "hard stop", "reboot")
STEPS = st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from(NAMES), st.floats(0, 60)), max_size=40)


def act(sim: SimHarness, what: str, name: str) -> None:
    ids = {"servers": [{"id": sim.id(name)}]}
    powers = {
        "stop": {"os-stop": ids},
        "start": {"os-start": ids},
        "hard stop": {"os-stop": {**ids, "type": "HARD"}},
        "reboot": {"reboot": {**ids, "type": "SOFT"}},
    }
    if what in powers:
        sim.send("POST", "/v1/{p}/cloudservers/action", powers[what])
    elif what == "change":
        sim.send_change(name)
    else:
        order = {"kind": "foreign", "server_id": sim.id(name), "act": what.removeprefix("foreign ")}
        sim.cloud.execute_order(ForeignOrder.model_validate({**order, "image": "Standard_Debian_12_latest"}))


@settings(max_examples=40 * EXAMPLES_FACTOR, deadline=None)
@given(st.integers(0, 1000), st.booleans(), STEPS)
def test_disks_and_changes_add_up(seed: int, lax: bool, steps: list[tuple[str, str, float]]) -> None:
    sim = SimHarness(seed=seed, lax=lax, servers=[{"count": 2, "name": "web-###", "state": "stopped"}], faults=RULES)
    world = sim.cloud.world
    for what, name, wait_s in steps:
        act(sim, what, name)
        sim.wait(wait_s)
        running = sorted(seq for server in world.servers.values() for seq in server.changes)
        assert world.ledger.changes_in_flight == len(running)
        for server in world.servers.values():
            assert server.system_disk is None or server.system_disk.destroyed_at is None
            assert server.system_disk is None or server.system_disk.server_id == server.id
            if not server.changes:
                alive = [d for d in world.ledger.disks.values() if d.server_id == server.id and d.destroyed_at is None]
                assert alive == ([server.system_disk] if server.system_disk is not None else [])
    sim.wait(1000)
    account = sim.ledger()
    assert account.changes_in_flight == 0
    changes = [w for found in judge.changes_per_server(account).values() for w in found]
    assert all(w.ended is not None and w.ended_at is not None for w in changes)
    assert all(w.came != "pending" for w in account.writes)
    destroyed = [disk_id for w in account.writes for disk_id in w.disks_destroyed]
    assert len(destroyed) == len(set(destroyed))
    assert lax or judge.changes_accepted_while_changing(account) == []


def test_time_never_goes_back() -> None:
    sim = SimHarness(servers=[{"state": "stopped"}])
    sim.change()
    sim.wait(200)
    sim.now -= 150
    assert sim.look()[0] == "ACTIVE"
    assert sim.cloud.advance() == sim.now + 150
