from typing import Any

import pytest

from fleetos.sim.world.orders import ForeignOrder
from tests.support import ledger as judge
from tests.unit.sim.bench import Bench, stopped


def test_a_change_makes_a_new_disk_starts_the_server_and_destroys_the_old_disk() -> None:
    bench = stopped()
    old = bench.disk()
    status, answer = bench.change()
    assert status == 200
    assert bench.look() == ("REBUILD", "stopped", "rebuilding")
    assert bench.job(answer["job_id"])[1]["status"] == "INIT"
    bench.wait(50)
    assert bench.job(answer["job_id"])[1]["status"] == "RUNNING"
    assert bench.job(answer["job_id"])[1]["end_time"] == ""
    bench.wait(50)
    job = bench.job(answer["job_id"])[1]
    assert (job["status"], job["job_type"], job["entities"]) == ("SUCCESS", "changeOS", {"server_id": bench.id()})
    assert bench.look() == ("ACTIVE", "active", None)
    server = bench.server()
    assert server["image"]["id"] == server["metadata"]["metering.image_id"] == bench.image()
    assert bench.disk() not in (old, None)
    disks = {disk.id: disk for disk in bench.ledger().disks}
    assert disks[str(old)].destroyed_by == 1
    assert disks[str(bench.disk())].successful


def test_data_disks_stay() -> None:
    bench = Bench(servers=[{"state": "stopped", "data_disks": 2}])
    before = [v["id"] for v in bench.server()["os-extended-volumes:volumes_attached"][1:]]
    bench.change()
    bench.wait(100)
    assert [v["id"] for v in bench.server()["os-extended-volumes:volumes_attached"][1:]] == before
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
    bench = Bench(servers=[group], images=images)
    before = bench.server()
    assert bench.refused(**fields) == refused
    bench.wait(1000)
    assert bench.server() == before
    if refused[1] != "Ecs.0005":
        (write,) = bench.ledger().writes
        assert (write.came, write.code, write.status, write.disk_made) == ("refused", refused[1], refused[0], None)


def test_a_good_password_is_accepted_and_nowhere_kept() -> None:
    bench = stopped()
    assert bench.change(adminpass="Long-Enough-1")[0] == 200
    assert "Long-Enough-1" not in repr(bench.ledger())


def test_a_busy_server_refuses_a_second_change_with_501() -> None:
    bench = stopped()
    bench.change()
    assert bench.refused() == (501, "Ecs.0603")
    assert bench.power("os-stop")[0] == 501
    assert [w.seq for w in judge.writes_while_changing(bench.ledger())] == [3]
    assert [(w.seq, o.seq) for w, o in judge.changes_sent_too_early(bench.ledger(), 600)] == [(2, 1)]


def test_an_unknown_server_is_404_and_a_foreign_project_400() -> None:
    bench = stopped()
    body = {"os-change": {"imageid": bench.image()}}
    status, answer = bench.call("POST", "/v2/{p}/cloudservers/nobody/changeos", body)
    assert (status, answer["error"]["code"]) == (404, "Ecs.0114")
    status, answer = bench.call("POST", f"/v2/other/cloudservers/{bench.id()}/changeos", body)
    assert (status, answer["error"]["code"]) == (400, "Ecs.0023")


def test_with_stop_server_stops_a_running_one_first() -> None:
    bench = Bench(servers=[{"state": "running"}])
    assert bench.change(mode="withStopServer")[0] == 200
    assert bench.look() == ("ACTIVE", "active", "powering-off")
    bench.wait(10)
    assert bench.look() == ("REBUILD", "stopped", "rebuilding")
    bench.wait(100)
    assert bench.look() == ("ACTIVE", "active", None)


def test_a_server_whose_last_change_failed_may_be_changed() -> None:
    bench = Bench(servers=[{"state": "failed"}])
    assert bench.look() == ("ERROR", "error", None)
    assert bench.server()["fault"]["message"]
    assert bench.change()[0] == 200
    bench.wait(100)
    assert bench.look() == ("ACTIVE", "active", None)
    assert bench.server()["fault"] is None


def test_a_reinstall_uses_the_image_of_the_server() -> None:
    bench = stopped()
    path = f"/v2/{{p}}/cloudservers/{bench.id()}/reinstallos"
    status, answer = bench.call("POST", path, {"os-reinstall": {"keyname": "KeyPair-350b"}})
    assert status == 200
    old = bench.disk()
    bench.wait(100)
    assert bench.job(answer["job_id"])[1]["job_type"] == "reInitOs"
    assert bench.server()["image"]["id"] == bench.image("Standard_Debian_11_latest")
    assert bench.disk() != old


def test_a_disk_grows_to_the_need_of_the_image() -> None:
    images = [{"name": "Standard_Debian_11_latest"}, {"name": "Standard_Debian_12_latest", "min_disk_gb": 80}]
    bench = stopped(images=images)
    bench.change()
    bench.wait(100)
    content = bench.call("GET", f"/v1/{{p}}/cloudservers/{bench.id()}/block_device")[1]
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
    bench = stopped(change={"picture": picture})
    old = bench.disk()

    def disk() -> str:
        return {old: "old", None: "none"}.get(bench.disk(), "new")

    bench.change()
    assert (bench.look(), disk()) == (first, first_disk)
    assert bench.refused() == (501, "Ecs.0603")
    bench.wait(60)
    assert (bench.look(), disk()) == (later, later_disk)
    bench.wait(40)
    assert (bench.look(), disk()) == (("ACTIVE", "active", None), "new")
    assert len([d for d in bench.ledger().disks if d.destroyed_at is None]) == 1


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
    bench = stopped(change={"image_flips": flips, "flip_lag_s": 30})

    def flipped() -> bool:
        return bench.server()["image"]["id"] == bench.image()

    bench.change()
    assert flipped() is at_start
    bench.wait(100)
    assert flipped() is at_end
    bench.wait(30)
    assert flipped() is much_later


def failing(picture: str, shown: str = "rebuild") -> Bench:
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
    bench = failing(picture, shown)
    old = bench.disk()
    job_id = bench.change()[1]["job_id"]
    bench.wait(100)
    job = bench.job(job_id)[1]
    assert (job["status"], job["error_code"]) == ("FAIL", "Ecs.0219")
    assert job["fail_reason"]
    assert bench.look() == look
    assert {old: "old", None: "none"}.get(bench.disk(), "new") == disk
    (write,) = bench.ledger().writes
    assert (write.ended, write.error_code) == ("failed", "Ecs.0219")
    if again is not None:
        assert bench.refused() == again
        return
    assert bench.change()[0] == 200
    bench.wait(100)
    assert bench.look() == ("ACTIVE", "active", None)
    assert bench.server()["image"]["id"] == bench.image()
    assert judge.successful_disks_destroyed(bench.ledger()) == []


def test_a_change_with_success_and_without_effect() -> None:
    bench = stopped(faults=[{"on": "changeos", "do": "no-effect"}])
    old = bench.disk()
    job_id = bench.change()[1]["job_id"]
    bench.wait(100)
    assert bench.job(job_id)[1]["status"] == "SUCCESS"
    assert (bench.look(), bench.disk()) == (("SHUTOFF", "stopped", None), old)
    assert bench.ledger().writes[0].ended == "no-effect"


@pytest.mark.parametrize("happens", [False, True])
def test_a_stuck_job_stays_init(happens: bool) -> None:
    bench = stopped(faults=[{"on": "changeos", "do": "stuck", "effect_happens": happens}])
    old = bench.disk()
    job_id = bench.change()[1]["job_id"]
    bench.wait(10_000)
    assert bench.job(job_id)[1]["status"] == "INIT"
    assert (bench.disk() != old) is happens


def test_a_server_may_follow_after_its_job() -> None:
    bench = stopped(faults=[{"on": "changeos", "do": "lag", "seconds": [20, 20]}])
    job_id = bench.change()[1]["job_id"]
    bench.wait(105)
    assert bench.job(job_id)[1]["status"] == "SUCCESS"
    assert bench.look()[0] == "REBUILD"
    bench.wait(15)
    assert bench.look()[0] == "ACTIVE"


def test_a_job_is_visible_late_and_vanishes() -> None:
    rule = {"on": "changeos", "do": "job-life", "visible_after_s": 30, "vanishes_after_s": 60}
    bench = stopped(faults=[rule])
    job_id = bench.change()[1]["job_id"]
    assert bench.job(job_id) == (400, {"code": "Common.0011", "message": "The job id is not known."})
    bench.wait(30)
    assert bench.job(job_id)[0] == 200
    bench.wait(70)
    assert bench.job(job_id)[1]["status"] == "SUCCESS"
    bench.wait(60)
    assert bench.job(job_id)[0] == 400


def test_a_lax_world_changes_in_any_state_and_the_judges_see_it() -> None:
    bench = Bench(servers=[{"state": "running"}], lax=True)
    assert bench.change()[0] == 200
    bench.wait(50)
    assert bench.change()[0] == 200
    assert bench.ledger().max_changes_in_flight == 2
    bench.wait(300)
    account = bench.ledger()
    assert account.changes_in_flight == 0
    assert [w.seq for w in judge.changes_accepted_while_changing(account)] == [2]
    (wiped,) = judge.successful_disks_destroyed(account)
    assert (wiped.made_by, wiped.destroyed_by) == (1, 2)
    assert {s: len(c) for s, c in judge.changes_per_server(account).items()} == {bench.id(): 2}


def test_a_cloud_may_lack_the_call_without_cloud_init() -> None:
    bench = stopped(v1_change=False)
    assert bench.call("POST", f"/v1/{{p}}/cloudservers/{bench.id()}/changeos", {"os-change": {"imageid": "x"}}) == (
        404,
        {
            "error_msg": "The API does not exist or has not been published in the environment.",
            "error_code": "APIGW.0101",
            "request_id": bench.ledger().writes[0].request_id,
        },
    )


def test_somebody_else_can_fail_at_a_change_and_leaves_the_server_in_error_on_a_new_disk() -> None:
    bench = stopped()
    old = bench.disk()
    foreign = {"kind": "foreign", "server_id": bench.id(), "act": "change", "image": "Standard_Debian_12_latest"}
    assert bench.cloud.execute_order(ForeignOrder.model_validate({**foreign, "fails": True}))
    assert bench.look() == ("ERROR", "error", None)
    assert bench.server()["fault"]["message"]
    disks = {disk.id: disk for disk in bench.ledger().disks}
    assert (disks[str(old)].destroyed_by, disks[str(bench.disk())].successful) == (1, False)
    # As after a failed change of one's own, another may follow.
    assert bench.change()[0] == 200


def test_a_change_that_stops_its_server_by_itself_is_what_has_stopped_it() -> None:
    bench = Bench(servers=[{"state": "running"}], faults=[{"on": "changeos", "do": "fail"}])
    assert bench.change(mode="withStopServer")[0] == 200
    bench.wait(200)
    assert bench.look() == ("SHUTOFF", "stopped", None)
    assert bench.cloud.world.servers[bench.id()].stopped_by == 1
    assert bench.ledger().writes[0].image_before == bench.image("Standard_Debian_11_latest")


def test_the_ledger_says_what_a_server_showed_when_its_change_was_sent_however_late_it_came() -> None:
    late = {"on": "changeos", "nth": [1], "do": "late", "seconds": [500.0, 500.0], "answer": "cut"}
    bench = Bench(servers=[{"state": "stopped"}], faults=[late])
    bench.send_change()
    foreign = {"kind": "foreign", "server_id": bench.id(), "act": "change", "image": "Standard_Debian_12_latest"}
    assert bench.cloud.execute_order(ForeignOrder.model_validate(foreign))
    bench.wait(1000)
    assert bench.ledger().writes[0].at is not None
    assert bench.ledger().writes[0].image_before == bench.image("Standard_Debian_11_latest")


def test_a_change_that_comes_twice_was_sent_to_what_its_server_showed_before_the_first() -> None:
    double = {"on": "changeos", "nth": [1], "do": "double", "seconds": [500.0, 500.0]}
    bench = Bench(servers=[{"state": "stopped"}], change={"image_flips": "start"}, faults=[double])
    assert bench.change()[0] == 200
    bench.wait(1000)
    assert [write.image_before for write in bench.ledger().writes] == [bench.image("Standard_Debian_11_latest")] * 2
