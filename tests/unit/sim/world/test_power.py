import pytest

from tests.support import ledger as judge
from tests.unit.sim.bench import Bench, stopped


def fleet(**scenario: object) -> Bench:
    return Bench(servers=[{"count": 3, "name": "web-###"}], **scenario)


def statuses(bench: Bench) -> list[str]:
    return [server.status for server in bench.cloud.world.servers.values()]


def test_a_stop_of_several_servers_has_a_sub_job_for_each() -> None:
    bench = fleet()
    status, answer = bench.power("os-stop", "web-001", "web-003")
    assert status == 200
    assert bench.look("web-001") == ("ACTIVE", "active", "powering-off")
    assert bench.job(answer["job_id"])[1]["status"] == "INIT"
    bench.wait(10)
    job = bench.job(answer["job_id"])[1]
    assert (job["status"], job["entities"]["sub_jobs_total"]) == ("SUCCESS", 2)
    subs = job["entities"]["sub_jobs"]
    assert [sub["entities"]["server_id"] for sub in subs] == [bench.id("web-001"), bench.id("web-003")]
    assert {sub["status"] for sub in subs} == {"SUCCESS"}
    assert statuses(bench) == ["SHUTOFF", "ACTIVE", "SHUTOFF"]
    truth = {"servers": [{"id": s.id, "vm_state": s.vm_state, "stopped_by": s.stopped_by}
                         for s in bench.cloud.world.servers.values()]}  # fmt: skip
    assert judge.stopped_by_us(bench.ledger(), truth) == [bench.id("web-001"), bench.id("web-003")]


def test_a_hard_stop_is_faster() -> None:
    bench = fleet()
    bench.power("os-stop", "web-001", type="HARD")
    bench.power("os-stop", "web-002", type="SOFT")
    bench.wait(2)
    assert statuses(bench) == ["SHUTOFF", "ACTIVE", "ACTIVE"]


def test_a_start_and_a_reboot() -> None:
    bench = stopped()
    bench.power("os-start")
    assert bench.look() == ("SHUTOFF", "stopped", "powering-on")
    bench.wait(10)
    assert bench.look() == ("ACTIVE", "active", None)
    bench.power("reboot", type="HARD")
    assert bench.look() == ("HARD_REBOOT", "active", "rebooting_hard")
    bench.wait(10)
    assert bench.look() == ("ACTIVE", "active", None)


def test_stopping_what_is_stopped_succeeds_at_once() -> None:
    bench = stopped()
    answer = bench.power("os-stop")[1]
    bench.wait(0)
    assert bench.job(answer["job_id"])[1]["status"] == "SUCCESS"
    assert bench.ledger().writes[0].acted_on == []


@pytest.mark.parametrize(
    ("group", "code", "status"),
    [({"name": "odd", "locked": True}, "Ecs.0605", 400), ({"count": 0, "name": "none"}, "Ecs.0114", 404)],
)
def test_one_bad_server_refuses_the_whole_call(group: object, code: str, status: int) -> None:
    bench = Bench(servers=[{"count": 2, "name": "web-###"}, group])
    odd = [s.id for s in bench.cloud.world.servers.values() if s.spec.name == "odd"] or ["missing"]
    servers = [{"id": bench.id("web-001")}, {"id": odd[0]}]
    got, answer = bench.call("POST", "/v1/{p}/cloudservers/action", {"os-stop": {"servers": servers}})
    assert (got, answer["error"]["code"]) == (status, code)
    bench.wait(100)
    assert statuses(bench)[:2] == ["ACTIVE", "ACTIVE"]


def test_a_call_names_at_most_a_thousand_servers() -> None:
    bench = stopped()
    servers = [{"id": f"s{number}"} for number in range(1001)]
    answer = bench.call("POST", "/v1/{p}/cloudservers/action", {"os-stop": {"servers": servers}})[1]
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
    bench = stopped()
    status, answer = bench.call("POST", "/v1/{p}/cloudservers/action", body)
    assert status == 400
    assert answer["error"]["code"] in ("Ecs.0005", "Common.0002")
    assert bench.ledger().writes == ()


def test_a_changing_server_in_a_call_fails_alone() -> None:
    bench = Bench(servers=[{"count": 2, "name": "web-###", "state": "stopped"}])
    bench.change("web-001")
    answer = bench.power("os-start", "web-001", "web-002")[1]
    bench.wait(10)
    job = bench.job(answer["job_id"])[1]
    assert (job["status"], job["error_code"]) == ("FAIL", "Common.0021")
    assert [sub["error_code"] for sub in job["entities"]["sub_jobs"]] == ["Ecs.0603", None]
    assert bench.look("web-001")[0] == "REBUILD"
    assert bench.look("web-002")[0] == "ACTIVE"
    assert len(judge.writes_while_changing(bench.ledger())) == 1


def test_a_soft_stop_that_does_nothing() -> None:
    bench = Bench(faults=[{"on": "stop", "do": "no-effect"}])
    answer = bench.power("os-stop")[1]
    assert bench.look() == ("ACTIVE", "active", "powering-off")
    bench.wait(10)
    assert bench.job(answer["job_id"])[1]["status"] == "SUCCESS"
    assert bench.look() == ("ACTIVE", "active", None)


def test_a_stop_that_acts_late_meets_a_changed_server() -> None:
    bench = Bench(faults=[{"on": "stop", "do": "lag", "seconds": [150, 150], "nth": [1]}])
    answer = bench.power("os-stop")[1]
    bench.wait(10)
    assert bench.job(answer["job_id"])[1]["status"] == "SUCCESS"
    assert bench.look() == ("ACTIVE", "active", None)
    bench.power("os-stop", type="HARD")
    bench.wait(2)
    bench.change()
    bench.wait(100)
    assert bench.look()[0] == "ACTIVE"
    bench.wait(50)
    assert bench.look()[0] == "SHUTOFF"


def test_a_stop_that_fails_and_one_that_fails_for_one_server_only() -> None:
    bench = fleet(faults=[{"on": "stop", "do": "fail", "code": "Ecs.1000", "servers": ["web-002"]}])
    answer = bench.power("os-stop", "web-001", "web-002", "web-003")[1]
    bench.wait(10)
    subs = bench.job(answer["job_id"])[1]["entities"]["sub_jobs"]
    assert [sub["error_code"] for sub in subs] == [None, "Ecs.1000", None]
    assert statuses(bench) == ["SHUTOFF", "ACTIVE", "SHUTOFF"]


def test_a_server_without_a_boot_disk_does_not_start() -> None:
    bench = Bench(servers=[{"state": "stopped", "system_disk": False}])
    answer = bench.power("os-start")[1]
    bench.wait(10)
    assert bench.job(answer["job_id"])[1]["entities"]["sub_jobs"][0]["error_code"] == "Ecs.0226"
    assert bench.look() == ("SHUTOFF", "stopped", None)
