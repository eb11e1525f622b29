from typing import Any

import pytest

from fleetos.sim.world.orders import ForeignOrder
from tests.support import ledger as judge
from tests.unit.sim.harness import SimHarness, stopped


def test_a_change_makes_a_new_disk_starts_the_server_and_destroys_the_old_disk() -> None:
    sim = stopped()
    old = sim.disk()
    status, answer = sim.change()
    assert status == 200
    assert sim.look() == ("REBUILD", "stopped", "rebuilding")
    assert sim.job(answer["job_id"])[1]["status"] == "INIT"
    sim.wait(50)
    assert sim.job(answer["job_id"])[1]["status"] == "RUNNING"
    assert sim.job(answer["job_id"])[1]["end_time"] == ""
    sim.wait(50)
    job = sim.job(answer["job_id"])[1]
    assert (job["status"], job["job_type"], job["entities"]) == ("SUCCESS", "changeOS", {"server_id": sim.id()})
    assert sim.look() == ("ACTIVE", "active", None)
    server = sim.server()
    assert server["image"]["id"] == server["metadata"]["metering.image_id"] == sim.image()
    assert sim.disk() not in (old, None)
    disks = {disk.id: disk for disk in sim.ledger().disks}
    assert disks[str(old)].destroyed_by == 1
    assert disks[str(sim.disk())].successful


def test_data_disks_stay() -> None:
    sim = SimHarness(servers=[{"state": "stopped", "data_disks": 2}])
    before = [v["id"] for v in sim.server()["os-extended-volumes:volumes_attached"][1:]]
    sim.change()
    sim.wait(100)
    assert [v["id"] for v in sim.server()["os-extended-volumes:volumes_attached"][1:]] == before
    assert len(before) == 2


@pytest.mark.parametrize(
    ("group", "fields", "refused"),
    [
        ({"state": "running"}, {}, (400, "Ecs.0100")),
        ({"state": "stopped", "locked": True}, {}, (400, "Ecs.0605")),
        ({"state": "stopped", "system_disk": False}, {}, (400, "Ecs.0105")),
        ({"state": "stopped"}, {"imageid": "no-such-image"}, (400, "Ecs.0031")),
        ({"state": "stopped"}, {"imageid": "not-active"}, (400, "Ecs.0032")),
        ({"state": "stopped"}, {"imageid": ""}, (400, "Ecs.0005")),
        ({"state": "stopped"}, {"adminpass": "short"}, (400, "Ecs.0011")),
        ({"state": "stopped"}, {"adminpass": "alllowercase"}, (400, "Ecs.0011")),
        ({"state": "stopped"}, {"keyname": "nobodys"}, (400, "Ecs.0314")),
        ({"state": "stopped"}, {"keyname": "KeyPair-350b", "userid": "somebody-else"}, (400, "Ecs.0314")),
        ({"state": "stopped"}, {"keyname": "KeyPair-350b", "adminpass": "Good-Pass-1"}, (400, "Ecs.0005")),
        ({"state": "stopped"}, {"metadata": {"user_data": "A" * 60_000}}, (400, "Ecs.0005")),
        ({"state": "stopped"}, {"metadata": {"BYOL": "yes"}}, (400, "Ecs.0005")),
        ({"state": "stopped"}, {"mode": "withForce"}, (400, "Ecs.0005")),
        ({"state": "stopped"}, {"imageid": 7}, (400, "Ecs.0005")),
    ],
)
def test_the_law_of_a_change(group: object, fields: dict[str, Any], refused: tuple[int, str]) -> None:
    images = [
        {"name": "Standard_Debian_11_latest"},
        {"name": "Standard_Debian_12_latest"},
        {"name": "queued", "id": "not-active", "status": "queued"},
    ]
    sim = SimHarness(servers=[group], images=images)
    before = sim.server()
    assert sim.refused(**fields) == refused
    sim.wait(1000)
    assert sim.server() == before
    if refused[1] != "Ecs.0005":
        (write,) = sim.ledger().writes
        assert (write.came, write.code, write.status, write.disk_made) == ("refused", refused[1], refused[0], None)


def test_a_good_password_is_accepted_and_nowhere_kept() -> None:
    sim = stopped()
    assert sim.change(adminpass="Long-Enough-1")[0] == 200
    assert "Long-Enough-1" not in repr(sim.ledger())


def test_a_busy_server_refuses_a_second_change_with_501() -> None:
    sim = stopped()
    sim.change()
    assert sim.refused() == (501, "Ecs.0603")
    assert sim.power("os-stop")[0] == 501
    assert [w.seq for w in judge.writes_while_changing(sim.ledger())] == [3]
    assert [(w.seq, o.seq) for w, o in judge.changes_sent_too_early(sim.ledger(), 600)] == [(2, 1)]


def test_an_unknown_server_is_404_and_a_foreign_project_400() -> None:
    sim = stopped()
    body = {"os-change": {"imageid": sim.image()}}
    status, answer = sim.call("POST", "/v2/{p}/cloudservers/nobody/changeos", body)
    assert (status, answer["error"]["code"]) == (404, "Ecs.0114")
    status, answer = sim.call("POST", f"/v2/other/cloudservers/{sim.id()}/changeos", body)
    assert (status, answer["error"]["code"]) == (400, "Ecs.0023")


def test_with_stop_server_stops_a_running_one_first() -> None:
    sim = SimHarness(servers=[{"state": "running"}])
    assert sim.change(mode="withStopServer")[0] == 200
    assert sim.look() == ("ACTIVE", "active", "powering-off")
    sim.wait(10)
    assert sim.look() == ("REBUILD", "stopped", "rebuilding")
    sim.wait(100)
    assert sim.look() == ("ACTIVE", "active", None)


def test_a_server_whose_last_change_failed_may_be_changed() -> None:
    sim = SimHarness(servers=[{"state": "failed"}])
    assert sim.look() == ("ERROR", "error", None)
    assert sim.server()["fault"]["message"]
    assert sim.change()[0] == 200
    sim.wait(100)
    assert sim.look() == ("ACTIVE", "active", None)
    assert sim.server()["fault"] is None


def test_a_reinstall_uses_the_image_of_the_server() -> None:
    sim = stopped()
    path = f"/v2/{{p}}/cloudservers/{sim.id()}/reinstallos"
    status, answer = sim.call("POST", path, {"os-reinstall": {"keyname": "KeyPair-350b"}})
    assert status == 200
    old = sim.disk()
    sim.wait(100)
    assert sim.job(answer["job_id"])[1]["job_type"] == "reInitOs"
    assert sim.server()["image"]["id"] == sim.image("Standard_Debian_11_latest")
    assert sim.disk() != old


def test_a_disk_grows_to_the_need_of_the_image() -> None:
    images = [{"name": "Standard_Debian_11_latest"}, {"name": "Standard_Debian_12_latest", "min_disk_gb": 80}]
    sim = stopped(images=images)
    sim.change()
    sim.wait(100)
    content = sim.call("GET", f"/v1/{{p}}/cloudservers/{sim.id()}/block_device")[1]
    assert [(d["bootIndex"], d["size"]) for d in content["volumeAttachments"]] == [(0, 80)]


# Per picture: what is seen at once, at 60 of 100 seconds; and whether a disk is seen then, and which.
@pytest.mark.parametrize(
    ("picture", "first", "first_disk", "later", "later_disk"),
    [
        ("rebuild", ("REBUILD", "stopped", "rebuilding"), "old", ("REBUILD", "stopped", "rebuilding"), "old"),
        ("idle", ("SHUTOFF", "stopped", None), "old", ("SHUTOFF", "stopped", None), "old"),
        ("no-disk", ("SHUTOFF", "stopped", None), "none", ("SHUTOFF", "stopped", None), "none"),
        ("early-disk", ("SHUTOFF", "stopped", None), "old", ("SHUTOFF", "stopped", None), "new"),
    ],
)
def test_the_pictures_of_a_change(
    picture: str, first: tuple[str, str, str | None], first_disk: str, later: tuple[str, str, str | None],
    later_disk: str,
) -> None:  # fmt: skip
    sim = stopped(change={"picture": picture})
    old = sim.disk()

    def disk() -> str:
        return {old: "old", None: "none"}.get(sim.disk(), "new")

    sim.change()
    assert (sim.look(), disk()) == (first, first_disk)
    assert sim.refused() == (501, "Ecs.0603")
    sim.wait(60)
    assert (sim.look(), disk()) == (later, later_disk)
    sim.wait(40)
    assert (sim.look(), disk()) == (("ACTIVE", "active", None), "new")
    assert len([d for d in sim.ledger().disks if d.destroyed_at is None]) == 1


@pytest.mark.parametrize(
    ("flips", "at_start", "at_end", "much_later"),
    [
        ("start", True, True, True),
        ("end", False, True, True),
        ("late", False, False, True),
        ("never", False, False, False),
    ],
)
def test_when_the_image_id_becomes_the_new_one(flips: str, at_start: bool, at_end: bool, much_later: bool) -> None:
    sim = stopped(change={"image_flips": flips, "flip_lag_s": 30})

    def flipped() -> bool:
        return sim.server()["image"]["id"] == sim.image()

    sim.change()
    assert flipped() is at_start
    sim.wait(100)
    assert flipped() is at_end
    sim.wait(30)
    assert flipped() is much_later


def failing(picture: str, shown: str = "rebuild") -> SimHarness:
    rule = {"on": "changeos", "do": "fail", "code": "Ecs.0219", "picture": picture, "nth": [1]}
    return stopped(change={"picture": shown}, faults=[rule])


@pytest.mark.parametrize("shown", ["rebuild", "idle", "no-disk", "early-disk"])
@pytest.mark.parametrize(
    ("picture", "look", "disk", "again"),
    [
        ("old-disk", ("SHUTOFF", "stopped", None), "old", None),
        ("no-disk", ("SHUTOFF", "stopped", None), "none", (400, "Ecs.0105")),
        ("new-disk", ("SHUTOFF", "stopped", None), "new", None),
        ("error", ("ERROR", "error", None), "old", None),
        ("endless", ("REBUILD", "stopped", "rebuilding"), "old", (501, "Ecs.0603")),
    ],
)
def test_the_pictures_of_a_failed_change(
    picture: str, look: tuple[str, str, str | None], disk: str, again: tuple[int, str] | None, shown: str
) -> None:
    sim = failing(picture, shown)
    old = sim.disk()
    job_id = sim.change()[1]["job_id"]
    sim.wait(100)
    job = sim.job(job_id)[1]
    assert (job["status"], job["error_code"]) == ("FAIL", "Ecs.0219")
    assert job["fail_reason"]
    assert sim.look() == look
    assert {old: "old", None: "none"}.get(sim.disk(), "new") == disk
    (write,) = sim.ledger().writes
    assert (write.ended, write.error_code) == ("failed", "Ecs.0219")
    if again is not None:
        assert sim.refused() == again
        return
    assert sim.change()[0] == 200
    sim.wait(100)
    assert sim.look() == ("ACTIVE", "active", None)
    assert sim.server()["image"]["id"] == sim.image()
    assert judge.successful_disks_destroyed(sim.ledger()) == []


def test_a_change_with_success_and_without_effect() -> None:
    sim = stopped(faults=[{"on": "changeos", "do": "no-effect"}])
    old = sim.disk()
    job_id = sim.change()[1]["job_id"]
    sim.wait(100)
    assert sim.job(job_id)[1]["status"] == "SUCCESS"
    assert (sim.look(), sim.disk()) == (("SHUTOFF", "stopped", None), old)
    assert sim.ledger().writes[0].ended == "no-effect"


@pytest.mark.parametrize("happens", [False, True])
def test_a_stuck_job_stays_init(happens: bool) -> None:
    sim = stopped(faults=[{"on": "changeos", "do": "stuck", "effect_happens": happens}])
    old = sim.disk()
    job_id = sim.change()[1]["job_id"]
    sim.wait(10_000)
    assert sim.job(job_id)[1]["status"] == "INIT"
    assert (sim.disk() != old) is happens


def test_a_server_may_follow_after_its_job() -> None:
    sim = stopped(faults=[{"on": "changeos", "do": "lag", "seconds": [20, 20]}])
    job_id = sim.change()[1]["job_id"]
    sim.wait(105)
    assert sim.job(job_id)[1]["status"] == "SUCCESS"
    assert sim.look()[0] == "REBUILD"
    sim.wait(15)
    assert sim.look()[0] == "ACTIVE"


def test_a_job_is_visible_late_and_vanishes() -> None:
    rule = {"on": "changeos", "do": "job-life", "visible_after_s": 30, "vanishes_after_s": 60}
    sim = stopped(faults=[rule])
    job_id = sim.change()[1]["job_id"]
    assert sim.job(job_id) == (400, {"code": "Common.0011", "message": "The job id is not known."})
    sim.wait(30)
    assert sim.job(job_id)[0] == 200
    sim.wait(70)
    assert sim.job(job_id)[1]["status"] == "SUCCESS"
    sim.wait(60)
    assert sim.job(job_id)[0] == 400


def test_a_lax_world_changes_in_any_state_and_the_judges_see_it() -> None:
    sim = SimHarness(servers=[{"state": "running"}], lax=True)
    assert sim.change()[0] == 200
    sim.wait(50)
    assert sim.change()[0] == 200
    assert sim.ledger().max_changes_in_flight == 2
    sim.wait(300)
    account = sim.ledger()
    assert account.changes_in_flight == 0
    assert [w.seq for w in judge.changes_accepted_while_changing(account)] == [2]
    (wiped,) = judge.successful_disks_destroyed(account)
    assert (wiped.made_by, wiped.destroyed_by) == (1, 2)
    assert {s: len(c) for s, c in judge.changes_per_server(account).items()} == {sim.id(): 2}


def test_a_cloud_may_lack_the_call_without_cloud_init() -> None:
    sim = stopped(v1_change=False)
    assert sim.call("POST", f"/v1/{{p}}/cloudservers/{sim.id()}/changeos", {"os-change": {"imageid": "x"}}) == (
        404,
        {
            "error_msg": "The API does not exist or has not been published in the environment.",
            "error_code": "APIGW.0101",
            "request_id": sim.ledger().writes[0].request_id,
        },
    )


def test_somebody_else_can_fail_at_a_change_and_leaves_the_server_in_error_on_a_new_disk() -> None:
    sim = stopped()
    old = sim.disk()
    foreign = {"kind": "foreign", "server_id": sim.id(), "act": "change", "image": "Standard_Debian_12_latest"}
    assert sim.cloud.execute_order(ForeignOrder.model_validate({**foreign, "fails": True}))
    assert sim.look() == ("ERROR", "error", None)
    assert sim.server()["fault"]["message"]
    disks = {disk.id: disk for disk in sim.ledger().disks}
    assert (disks[str(old)].destroyed_by, disks[str(sim.disk())].successful) == (1, False)
    # As after a failed change of one's own, another may follow.
    assert sim.change()[0] == 200


def test_a_change_that_stops_its_server_by_itself_is_what_has_stopped_it() -> None:
    sim = SimHarness(servers=[{"state": "running"}], faults=[{"on": "changeos", "do": "fail"}])
    assert sim.change(mode="withStopServer")[0] == 200
    sim.wait(200)
    assert sim.look() == ("SHUTOFF", "stopped", None)
    assert sim.cloud.world.servers[sim.id()].stopped_by == 1
    assert sim.ledger().writes[0].image_before == sim.image("Standard_Debian_11_latest")


def test_the_ledger_says_what_a_server_showed_when_its_change_was_sent_however_late_it_came() -> None:
    late = {"on": "changeos", "nth": [1], "do": "late", "seconds": [500.0, 500.0], "answer": "cut"}
    sim = SimHarness(servers=[{"state": "stopped"}], faults=[late])
    sim.send_change()
    foreign = {"kind": "foreign", "server_id": sim.id(), "act": "change", "image": "Standard_Debian_12_latest"}
    assert sim.cloud.execute_order(ForeignOrder.model_validate(foreign))
    sim.wait(1000)
    assert sim.ledger().writes[0].at is not None
    assert sim.ledger().writes[0].image_before == sim.image("Standard_Debian_11_latest")


def test_a_change_that_comes_twice_was_sent_to_what_its_server_showed_before_the_first() -> None:
    double = {"on": "changeos", "nth": [1], "do": "double", "seconds": [500.0, 500.0]}
    sim = SimHarness(servers=[{"state": "stopped"}], change={"image_flips": "start"}, faults=[double])
    assert sim.change()[0] == 200
    sim.wait(1000)
    assert [write.image_before for write in sim.ledger().writes] == [sim.image("Standard_Debian_11_latest")] * 2
