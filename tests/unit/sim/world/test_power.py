import pytest

from tests.support import ledger as judge
from tests.unit.sim.harness import SimHarness, stopped


def fleet(**scenario: object) -> SimHarness:
    return SimHarness(servers=[{"count": 3, "name": "web-###"}], **scenario)


def statuses(sim: SimHarness) -> list[str]:
    return [server.status for server in sim.cloud.world.servers.values()]


def test_a_stop_of_several_servers_has_a_sub_job_for_each() -> None:
    sim = fleet()
    status, answer = sim.power("os-stop", "web-001", "web-003")
    assert status == 200
    assert sim.look("web-001") == ("ACTIVE", "active", "powering-off")
    assert sim.job(answer["job_id"])[1]["status"] == "INIT"
    sim.wait(10)
    job = sim.job(answer["job_id"])[1]
    assert (job["status"], job["entities"]["sub_jobs_total"]) == ("SUCCESS", 2)
    subs = job["entities"]["sub_jobs"]
    assert [sub["entities"]["server_id"] for sub in subs] == [sim.id("web-001"), sim.id("web-003")]
    assert {sub["status"] for sub in subs} == {"SUCCESS"}
    assert statuses(sim) == ["SHUTOFF", "ACTIVE", "SHUTOFF"]
    truth = {"servers": [{"id": s.id, "vm_state": s.vm_state, "stopped_by": s.stopped_by}
                         for s in sim.cloud.world.servers.values()]}  # fmt: skip
    assert judge.stopped_by_us(sim.ledger(), truth) == [sim.id("web-001"), sim.id("web-003")]


def test_a_hard_stop_is_faster() -> None:
    sim = fleet()
    sim.power("os-stop", "web-001", type="HARD")
    sim.power("os-stop", "web-002", type="SOFT")
    sim.wait(2)
    assert statuses(sim) == ["SHUTOFF", "ACTIVE", "ACTIVE"]


def test_a_start_and_a_reboot() -> None:
    sim = stopped()
    sim.power("os-start")
    assert sim.look() == ("SHUTOFF", "stopped", "powering-on")
    sim.wait(10)
    assert sim.look() == ("ACTIVE", "active", None)
    sim.power("reboot", type="HARD")
    assert sim.look() == ("HARD_REBOOT", "active", "rebooting_hard")
    sim.wait(10)
    assert sim.look() == ("ACTIVE", "active", None)


def test_stopping_what_is_stopped_succeeds_at_once() -> None:
    sim = stopped()
    answer = sim.power("os-stop")[1]
    sim.wait(0)
    assert sim.job(answer["job_id"])[1]["status"] == "SUCCESS"
    assert sim.ledger().writes[0].acted_on == []


@pytest.mark.parametrize(
    ("group", "code", "status"),
    [({"name": "odd", "locked": True}, "Ecs.0605", 400), ({"count": 0, "name": "none"}, "Ecs.0114", 404)],
)
def test_one_bad_server_refuses_the_whole_call(group: object, code: str, status: int) -> None:
    sim = SimHarness(servers=[{"count": 2, "name": "web-###"}, group])
    odd = [s.id for s in sim.cloud.world.servers.values() if s.spec.name == "odd"] or ["missing"]
    servers = [{"id": sim.id("web-001")}, {"id": odd[0]}]
    got, answer = sim.call("POST", "/v1/{p}/cloudservers/action", {"os-stop": {"servers": servers}})
    assert (got, answer["error"]["code"]) == (status, code)
    sim.wait(100)
    assert statuses(sim)[:2] == ["ACTIVE", "ACTIVE"]


def test_a_call_names_at_most_a_thousand_servers() -> None:
    sim = stopped()
    servers = [{"id": f"s{number}"} for number in range(1001)]
    answer = sim.call("POST", "/v1/{p}/cloudservers/action", {"os-stop": {"servers": servers}})[1]
    assert answer["error"]["code"] == "Ecs.0118"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b'"os-stop"', {}, {"os-stop": {"servers": []}}, {"os-stop": {"servers": "all"}},
        {"os-stop": {"servers": [{"id": "x"}], "type": "NOW"}}, {"reboot": {"servers": [{"id": "x"}]}},
        {"os-stop": {"servers": ["x"]}}, {"os-stop": {"servers": [{"id": "x"}]}, "os-start": {}}, b"[" * 100_000,
    ],
)  # fmt: skip
def test_bodies_that_are_refused(body: object) -> None:
    sim = stopped()
    status, answer = sim.call("POST", "/v1/{p}/cloudservers/action", body)
    assert status == 400
    assert answer["error"]["code"] in ("Ecs.0005", "Common.0002")
    assert sim.ledger().writes == ()


def test_a_changing_server_in_a_call_fails_alone() -> None:
    sim = SimHarness(servers=[{"count": 2, "name": "web-###", "state": "stopped"}])
    sim.change("web-001")
    answer = sim.power("os-start", "web-001", "web-002")[1]
    sim.wait(10)
    job = sim.job(answer["job_id"])[1]
    assert (job["status"], job["error_code"]) == ("FAIL", "Common.0021")
    assert [sub["error_code"] for sub in job["entities"]["sub_jobs"]] == ["Ecs.0603", None]
    assert sim.look("web-001")[0] == "REBUILD"
    assert sim.look("web-002")[0] == "ACTIVE"
    assert len(judge.writes_while_changing(sim.ledger())) == 1


def test_a_soft_stop_that_does_nothing() -> None:
    sim = SimHarness(faults=[{"on": "stop", "do": "no-effect"}])
    answer = sim.power("os-stop")[1]
    assert sim.look() == ("ACTIVE", "active", "powering-off")
    sim.wait(10)
    assert sim.job(answer["job_id"])[1]["status"] == "SUCCESS"
    assert sim.look() == ("ACTIVE", "active", None)


def test_a_stop_that_acts_late_meets_a_changed_server() -> None:
    sim = SimHarness(faults=[{"on": "stop", "do": "lag", "seconds": [150, 150], "nth": [1]}])
    answer = sim.power("os-stop")[1]
    sim.wait(10)
    assert sim.job(answer["job_id"])[1]["status"] == "SUCCESS"
    assert sim.look() == ("ACTIVE", "active", None)
    sim.power("os-stop", type="HARD")
    sim.wait(2)
    sim.change()
    sim.wait(100)
    assert sim.look()[0] == "ACTIVE"
    sim.wait(50)
    assert sim.look()[0] == "SHUTOFF"


def test_a_stop_that_fails_and_one_that_fails_for_one_server_only() -> None:
    sim = fleet(faults=[{"on": "stop", "do": "fail", "code": "Ecs.1000", "servers": ["web-002"]}])
    answer = sim.power("os-stop", "web-001", "web-002", "web-003")[1]
    sim.wait(10)
    subs = sim.job(answer["job_id"])[1]["entities"]["sub_jobs"]
    assert [sub["error_code"] for sub in subs] == [None, "Ecs.1000", None]
    assert statuses(sim) == ["SHUTOFF", "ACTIVE", "SHUTOFF"]


def test_a_server_without_a_boot_disk_does_not_start() -> None:
    sim = SimHarness(servers=[{"state": "stopped", "system_disk": False}])
    answer = sim.power("os-start")[1]
    sim.wait(10)
    assert sim.job(answer["job_id"])[1]["entities"]["sub_jobs"][0]["error_code"] == "Ecs.0226"
    assert sim.look() == ("SHUTOFF", "stopped", None)
