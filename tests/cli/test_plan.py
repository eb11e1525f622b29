"""`fleetos plan`: names every problem that a server can have, changes nothing, and is what apply then does."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fleetos.cli.exit_codes import ExitCode
from tests.cli.runner import SharedCloudRunner
from tests.support.commands import CommandRunner, Done, running_cloud
from tests.support.ledger import CHANGES

DEBIAN_11, DEBIAN_12 = "Standard_Debian_11_latest", "Standard_Debian_12_latest"
GOOD_KEY = "83cdb52d-9ebf-4469-9cfa-e7b5b80da846"
DISABLED_KEY = "0d0466b0-0000-4000-8000-f84bb474a37f"
SOUND: dict[str, dict[str, object]] = {
    "sound-a": {},
    "sound-b": {"state": "stopped"},
    "rented": {"charging": "yearly-monthly"},
    "grows": {"system_disk_gb": 20},
    "encrypted": {"system_disk_encrypted": True},
    "windows": {"image": "Windows_2022"},
    "failed": {"state": "failed"},
    "down": {"host_status": "DOWN"},
    "gpu": {"flavor": "g6.large"},
}
# The code by which a server is refused, and a server for which it is.
REFUSED: dict[str, dict[str, object]] = {
    "locked": {"locked": True},
    "no-system-disk": {"state": "stopped", "system_disk": False},
    "frozen": {"frozen": True},
    "spot": {"charging": "spot"},
    "marketplace": {"charging": "yearly-monthly", "image": "Market"},
    "min-disk": {"charging": "yearly-monthly", "system_disk_gb": 20},
    "disk-status": {"system_disk_status": "error"},
    "architecture": {"flavor": "kc1.large.2"},
    "memory": {"flavor": "t6.small.1"},
    "firmware": {"image": "Uefi"},
    "bare-metal": {"tags": ["__type_baremetal"]},
    "encryption-key": {},
    "platform": {"flavor": "c1.xen"},
    "hardware": {},
}
# What some of them get that the others do not.
OWN = {
    "encryption-key": f'{{metadata: {{__system__encrypted: "1", __system__cmkid: {DISABLED_KEY}}}}}',
    "hardware": "{image: For_GPUs}",
}
# What is found about the sound ones, which are changed all the same.
WARNED = {
    "rented": "yearly-monthly",
    "grows": "disk-grows",
    "encrypted": "disk-encryption",
    "windows": "os-type",
    "failed": "error-state",
    "down": "host-down",
    "gpu": "hardware",
}
SCENARIO: dict[str, Any] = {
    "seed": 5,
    "durations": {"stop": [0.05, 0.1], "start": [0.05, 0.1], "change": [0.2, 0.4], "job_init": [0, 0.05]},
    "flavors": [
        {"id": "s3.medium.2"},
        {"id": "kc1.large.2", "architecture": "arm"},
        {"id": "t6.small.1", "ram_mb": 512},
        {"id": "c1.xen", "platform": "xen"},
        {"id": "g6.large", "performance": "gpu", "gpu": True},
    ],
    "images": [
        {"name": DEBIAN_11, "flags": {"hw_firmware_type": "bios"}},
        {"name": DEBIAN_12, "flags": {"hw_firmware_type": "bios", "min_ram": 1024}},
        {"name": "Standard_Debian_13_latest"},
        {"name": "Market", "imagetype": "market", "flags": {"hw_firmware_type": "bios"}},
        {"name": "Uefi", "flags": {"hw_firmware_type": "uefi"}},
        {"name": "Windows_2022", "os_type": "Windows"},
        {"name": "For_GPUs", "flags": {"__support_kvm": "false", "__support_kvm_gpu_type": "T4"}},
    ],
    "servers": [
        *({"name": name, **traits} for name, traits in (SOUND | REFUSED).items()),
        {"name": "done", "image": DEBIAN_12},
        {"name": "spare-#", "count": 4},
    ],
    "quota": {"volumes": 34, "servers": 30},
    "encryption_keys": [{"id": DISABLED_KEY, "state": "disabled"}, {"id": GOOD_KEY}],
}
PACE = "polling: {min: 100ms, max: 200ms}\ntimeouts: {stop: 10s, change: 20s, settle: 1s, start: 10s}\n"
NAMES = (*SOUND, *REFUSED, "done")


@pytest.fixture(scope="module")
def scenario() -> Mapping[str, Any]:
    """A cloud with one of each problem. No test changes its servers but the last."""
    return SCENARIO


@pytest.fixture
def here(cloud: CommandRunner, tmp_path: Path) -> Iterator[SharedCloudRunner]:
    """The cloud without faults, seen from an empty folder."""
    cloud.post("/admin/heal", {})
    with SharedCloudRunner.at(cloud, tmp_path, iter(())) as begun:
        yield begun


def write_plan(here: SharedCloudRunner, *names: str, more: str = "", change: str = "keyname: KeyPair-350b") -> str:
    own = {name: f", change: {OWN[name]}" if name in OWN else "" for name in names}
    servers = "".join(f"  - {{name: {name}{own[name]}}}\n" for name in names)
    text = f"version: 1\nname: try\nchange: {{image: {DEBIAN_12}, {change}}}\nservers:\n{servers}{PACE}{more}"
    return here.plan(text)


def document(done: Done) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def changed(here: SharedCloudRunner) -> set[str]:
    """The names of the servers that any write has named."""
    names = {one["id"]: name for name, one in here.servers().items()}
    return {names[server_id] for write in here.ledger().writes for server_id in write.servers}


def test_each_problem_is_named_and_nothing_is_touched(here: SharedCloudRunner) -> None:
    before = len(here.ledger().writes)
    told = document(here.invoke("plan", write_plan(here, *NAMES), "-o", "json"))
    assert told["v"] == 1
    by_name = {one["name"]: one for one in told["servers"]}
    assert {name: one["code"] for name, one in by_name.items() if one["action"] == "refuse"} == {
        code: code for code in REFUSED
    }
    assert all(one["reason"] for one in by_name.values() if one["action"] == "refuse")
    assert {name for name, one in by_name.items() if one["action"] == "change"} == set(SOUND)
    assert by_name["done"]["action"] == "skip"
    assert told["counts"] == {"total": len(NAMES), "refuse": len(REFUSED), "change": len(SOUND), "skip": 1}
    codes = {one["server_id"]: one["code"] for one in told["findings"] if one["level"] == "warning"}
    assert {name: codes[by_name[name]["server_id"]] for name in WARNED} == WARNED
    general = {one["code"]: one["level"] for one in told["findings"] if one["server_id"] is None}
    assert general == {"newer-image": "note", "disk-quota": "warning", "server-quota": "warning"}
    assert told["estimate"]["source"] == "documented"
    assert len(here.ledger().writes) == before
    assert list(here.folder.rglob("*.db*")) == []


def test_the_text_is_plain_in_a_pipe_and_says_why(here: SharedCloudRunner) -> None:
    done = here.invoke("plan", write_plan(here, "locked", "sound-a", "done"), "--detailed-exitcode")
    assert done.returncode == ExitCode.CHANGES_PENDING
    disk = here.servers()["sound-a"]["system_disk"]
    first, second, third, *_ = done.stdout.splitlines()
    assert (first, third) == ("locked: refuse: is locked", "done: skip: already on the image")
    assert second == f"sound-a: WIPES system disk {disk} ({DEBIAN_11} -> {DEBIAN_12})"
    assert ", API v2 (image not marked as lacking cloud-init)" in done.stdout
    assert "\x1b" not in done.stdout
    assert "3 servers: 1 to change, 1 to skip, 1 refused" in done.stdout


def test_lines_for_programs_are_the_servers(here: SharedCloudRunner) -> None:
    plan = write_plan(here, "sound-a", "locked")
    lines = here.invoke("plan", plan, "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == document(here.invoke("plan", plan, "-o", "json"))["servers"]


def test_the_exit_code_says_whether_changes_are_pending(here: SharedCloudRunner) -> None:
    for names, code in (("done", 0), ("locked", 0), ("sound-a", 2)):
        assert here.invoke("plan", write_plan(here, names), "--detailed-exitcode", "-o", "json").returncode == code
    assert here.invoke("plan", write_plan(here, "sound-a")).returncode == 0


@pytest.mark.parametrize(
    ("names", "change", "words"),
    [
        (("nobody",), "keyname: KeyPair-350b", "no server of the project is called nobody"),
        (("sound-a",), "keyname: not-ours", "no key pair not-ours belongs to the user"),
        (("sound-a",), "adminpass: {env: FLEET_PASSWORD}", "three of: upper case"),
        (("sound-a",), "keyname: KeyPair-350b, api: v1, user_data: {text: hello}", "no user data"),
    ],
)
def test_a_plan_that_cannot_be_resolved_is_65(
    here: SharedCloudRunner, names: tuple[str, ...], change: str, words: str
) -> None:
    secret = here.env["FLEET_PASSWORD"] = "allthesamekind"
    done = here.invoke("plan", write_plan(here, *names, change=change), "--detailed-exitcode", "-o", "json")
    assert done.returncode == ExitCode.INPUT
    (problem,) = json.loads(done.stdout)["error"]["problems"]
    assert words in problem["expected"]
    assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("operation", "subject", "level"),
    [("volumes", "disks", "warning"), ("flavors", "flavors", "warning"), ("disk-quota", "disk quota", "warning")],
)
def test_what_may_not_be_read_is_told_and_the_rest_is_checked(
    here: SharedCloudRunner, operation: str, subject: str, level: str
) -> None:
    here.post("/admin/faults", [{"on": operation, "do": "refuse", "code": "Pdp.0001"}])
    told = document(here.invoke("plan", write_plan(here, "sound-a", "frozen"), "-o", "json"))
    (finding,) = [one for one in told["findings"] if one["code"] == "not-checked"]
    assert (finding["subject"], finding["level"]) == (subject, level)
    assert told["counts"] == {"total": 2, "refuse": 1, "change": 1, "skip": 0}


@pytest.mark.parametrize(
    ("fault", "key", "level", "refused"),
    [
        ({"code": "Pdp.0001"}, DISABLED_KEY, "warning", 0),
        ({"code": "APIGW.0101"}, DISABLED_KEY, "note", 0),
        (None, "616fb98f-46ca-475e-917e-2563e5a8cd19", None, 1),
        (None, DISABLED_KEY, None, 1),
        (None, GOOD_KEY, None, 0),
    ],
)
def test_a_key_is_looked_at_where_the_cloud_lets_us(
    here: SharedCloudRunner, fault: dict[str, str] | None, key: str, level: str | None, refused: int
) -> None:
    here.post("/admin/faults", [] if fault is None else [{"on": "key", "do": "refuse", **fault}])
    change = f'keyname: KeyPair-350b, metadata: {{__system__encrypted: "1", __system__cmkid: {key}}}'
    told = document(here.invoke("plan", write_plan(here, "sound-a", "sound-b", change=change), "-o", "json"))
    assert [one["level"] for one in told["findings"] if one["code"] == "not-checked"] == ([level] if level else [])
    assert told["counts"]["refuse"] == 2 * refused
    assert {one["code"] for one in told["servers"]} == {"encryption-key" if refused else None}


def test_a_frozen_plan_runs_only_while_the_cloud_agrees(here: SharedCloudRunner) -> None:
    plan = write_plan(here, "spare-1", "spare-2", "frozen")
    frozen = str(here.folder / "frozen.json")
    done = here.invoke("plan", plan, "--out", frozen)
    assert (done.returncode, f"fleetos apply {frozen}" in done.stderr) == (0, True)
    here.post(f"/admin/servers/{here.servers()['spare-2']['id']}", {"act": "change", "image": DEBIAN_11})
    before = len(here.ledger().writes)
    refused = here.invoke("apply", frozen, "--yes")
    assert refused.returncode == ExitCode.INPUT
    assert "spare-2" in refused.stderr
    assert "its system disk is" in refused.stderr
    assert "spare-1" not in refused.stderr
    assert len(here.ledger().writes) == before
    assert here.runs() == []
    here.invoke("plan", plan, "--out", frozen)
    whole = Path(frozen).read_text(encoding="utf-8")
    for text, words in (
        (whole.replace('"spare-1"', '"spare-9"'), f"{frozen}: was changed after `fleetos plan --out` wrote it"),
        (whole[: len(whole) // 2], f"{frozen}: is no whole frozen plan of this version"),
    ):
        Path(frozen).write_text(text, encoding="utf-8")
        tampered = here.invoke("apply", frozen, "--yes")
        assert (tampered.returncode, words in tampered.stderr) == (ExitCode.INPUT, True), tampered.stderr
    Path(frozen).write_text(whole, encoding="utf-8")
    write_plan(here, "spare-1", "spare-2")
    assert "says something else" in here.invoke("apply", frozen, "--yes").stderr
    write_plan(here, "spare-1", "spare-2", "frozen")
    applied = document_of_run(here.fleetos("apply", frozen, "--yes", "--expect-wipes", "2", "-o", "json"))
    assert applied["counts"] == {"total": 3, "done": 2, "held": 1}
    again = here.invoke("apply", frozen, "--yes")
    assert again.returncode == ExitCode.INPUT
    assert "of this frozen plan has ended (done), and nothing was done" in again.stderr


def document_of_run(done: Done) -> dict[str, Any]:
    assert done.returncode == ExitCode.SOME_FAILED, done.stderr
    return json.loads(done.stdout)


def test_apply_changes_the_sound_ones_alone(here: SharedCloudRunner) -> None:
    untouched = changed(here)
    plan = write_plan(here, *NAMES)
    applied = document_of_run(here.fleetos("apply", plan, "--yes", "--expect-wipes", str(len(SOUND)), "-o", "json"))
    states = {one["name"]: (one["state"], one["reason"]) for one in applied["targets"]}
    assert {name for name, (state, _) in states.items() if state == "done"} == set(SOUND)
    assert {name for name, (state, _) in states.items() if state == "held"} == set(REFUSED)
    assert states["locked"][1] == "locked"
    assert states["no-system-disk"][1] == "no-system-disk"
    assert {states[name][1] for name in REFUSED if name not in ("locked", "no-system-disk")} == {"unsuitable"}
    # The judge: no write of any kind ever named another server.
    assert changed(here) - untouched == set(SOUND)
    accepted = [write for write in here.ledger().writes if write.operation in CHANGES and write.actor == "client"]
    assert all(write.came == "accepted" for write in accepted)
    told = document(here.invoke("plan", plan, "-o", "json"))
    assert told["counts"]["skip"] == len(SOUND) + 1
    assert told["earlier_run"] == {"id": applied["run"]["id"], "state": "done"}
    assert told["estimate"]["run_s"] is None


@pytest.fixture(scope="module", params=[3_000, pytest.param(10_000, marks=pytest.mark.proof)])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandRunner]:
    """A cloud of thousands of servers."""
    folder = tmp_path_factory.mktemp("large")
    with running_cloud(folder, {"servers": [{"count": request.param, "name": "web-#####"}]}) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_thousands_of_servers_take_few_calls(large: CommandRunner) -> None:
    count = len(large.servers())
    (large.folder / "all.csv").write_text("name\n" + "".join(f"web-{one:05}\n" for one in range(1, count + 1)))
    plan = large.plan(
        f"version: 1\nname: try\nchange: {{image: {DEBIAN_12}, keyname: KeyPair-350b}}\nservers: [{{file: all.csv}}]\n"
    )
    told = document(large.fleetos("plan", plan, "-o", "json"))
    assert told["counts"] == {"total": count, "refuse": 0, "change": count, "skip": 0}
    asked = large.ledger().requests
    lists = ("list", "volumes", "images", "flavors", "keypairs")
    assert sum(asked.get(one, 0) for one in lists) < 15
    assert set(asked) - set(lists) == {"token", "keypair", "disk-quota", "limits"}
    assert sum(asked.values()) < 20
