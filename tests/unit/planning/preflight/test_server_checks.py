"""What is found about one server and the image that it is to get: refused, or told."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from fleetos.app.survey import takes_no_windows
from fleetos.model.findings import Check, Finding, Level
from fleetos.model.inventory import Disk, Disks, Flavor, Image, KeyState, Quota, Server, Traits
from fleetos.model.run import Order
from fleetos.planning.preflight.project_checks import claim_findings, newer_images, order_findings, project_findings
from fleetos.planning.preflight.project_facts import NOTHING_KNOWN, ProjectFacts, Unread
from fleetos.planning.preflight.server_checks import ServerCheckInput, server_findings
from fleetos.planning.settings import CloudFacts
from tests.support.builders import DEBIAN, OLD_IMAGE, a_server, a_snapshot

SERVER = a_server(1, a_snapshot())
DISK = SERVER.snapshot.disk or ""
REFUSED, WARNING, NOTE = Level.REFUSED, Level.WARNING, Level.NOTE
FLAVORS = {"s3": Flavor("s3", "x86"), "kc1": Flavor("kc1", "arm")}
OLD_DEBIAN = Image(OLD_IMAGE, "Old", "active", architecture="x86", firmware="bios")


def server(flavor: str | None = None, **traits: Any) -> Server:
    return replace(SERVER, flavor=flavor, traits=Traits(**traits))


def disk(size_gib: int = 40, status: str = "in-use", *, encrypted: bool = False) -> ProjectFacts:
    return ProjectFacts(disks=Disks({DISK: Disk(DISK, size_gib, status, encrypted)}))


def found(
    one: Server, image: Image = DEBIAN, around: ProjectFacts = NOTHING_KNOWN, **metadata: str
) -> list[tuple[Level, Check]]:
    findings = list(server_findings(ServerCheckInput(one, image, metadata, around)))
    assert all(finding.server_id == one.id and finding.subject == one.name for finding in findings)
    return [(finding.level, finding.check) for finding in findings]


def test_nothing_is_found_about_a_server_that_fits() -> None:
    around = replace(disk(), images={OLD_IMAGE: OLD_DEBIAN}, flavors=FLAVORS)
    image = replace(DEBIAN, min_disk_gib=40, min_ram_mib=1024, max_ram_mib=4096, firmware="bios")
    assert found(server(flavor="s3", ram_mib=2048, charging="0", host_status="UP"), image, around) == []


@pytest.mark.parametrize(
    ("traits", "image", "expected"),
    [
        ({"bare_metal": True}, {}, (REFUSED, Check.BARE_METAL)),
        ({"managed_by": "CCE"}, {}, (REFUSED, Check.MANAGED)),
        ({"frozen": True}, {}, (REFUSED, Check.FROZEN)),
        ({"charging": "2"}, {}, (REFUSED, Check.SPOT)),
        ({"charging": "1"}, {}, (WARNING, Check.YEARLY_MONTHLY)),
        ({"charging": "1", "image_kind": "market"}, {}, (REFUSED, Check.MARKETPLACE)),
        ({"charging": "1"}, {"kind": "market"}, (REFUSED, Check.MARKETPLACE)),
        ({"charging": "0"}, {"kind": "market"}, (WARNING, Check.MARKETPLACE)),
        ({"host_status": "DOWN"}, {}, (WARNING, Check.HOST_DOWN)),
        ({"ram_mib": 512}, {"min_ram_mib": 1024}, (REFUSED, Check.MEMORY)),
        ({"ram_mib": 512}, {"max_ram_mib": 256}, (REFUSED, Check.MEMORY)),
    ],
)
def test_a_server_by_its_traits(traits: dict[str, Any], image: dict[str, Any], expected: tuple[Level, Check]) -> None:
    assert found(server(**traits), replace(DEBIAN, **image)) == [expected]


@pytest.mark.parametrize(
    ("charging", "around", "metadata", "expected"),
    [
        ("0", disk(20), {}, [(WARNING, Check.DISK_GROWS)]),
        ("1", disk(20), {}, [(WARNING, Check.YEARLY_MONTHLY), (REFUSED, Check.MIN_DISK)]),
        ("0", disk(40), {}, []),
        ("0", disk(status="backing-up"), {}, [(WARNING, Check.DISK_STATUS)]),
        ("0", disk(status="error_extending"), {}, [(REFUSED, Check.DISK_STATUS)]),
        ("0", disk(encrypted=True), {}, [(WARNING, Check.DISK_ENCRYPTION)]),
        ("0", disk(encrypted=True), {"__system__encrypted": "1"}, []),
        ("0", ProjectFacts(disks=Disks({}, whole=False, others_gib=40)), {}, []),
    ],
)
def test_a_server_by_its_disk(
    charging: str, around: ProjectFacts, metadata: dict[str, str], expected: list[tuple[Level, Check]]
) -> None:
    assert found(server(charging=charging), replace(DEBIAN, min_disk_gib=40), around, **metadata) == expected


def a_flavor(platform: str | None = "kvm", performance: str | None = "normal", *, gpu: bool = False) -> Flavor:
    return Flavor("f", "x86", platform, performance, gpu)


@pytest.mark.parametrize(
    ("flavor", "supports", "expected"),
    [
        (a_flavor(), "", []),
        (a_flavor(), "kvm", []),
        (a_flavor(), "kvm xen", []),
        (a_flavor(), "diskintensive", []),
        (a_flavor(None, None), "xen", []),
        (a_flavor("xen"), "kvm", [(REFUSED, Check.PLATFORM)]),
        (a_flavor("kvm"), "xen", [(REFUSED, Check.PLATFORM)]),
        (a_flavor("kvm"), "xen_gpu_type", [(REFUSED, Check.PLATFORM)]),
        (a_flavor(performance="gpu", gpu=True), "kvm", [(WARNING, Check.HARDWARE)]),
        (a_flavor(performance="gpu", gpu=True), "", []),
        (a_flavor(performance="gpu", gpu=True), "kvm_gpu_type", []),
        (a_flavor(), "kvm_gpu_type", [(REFUSED, Check.HARDWARE)]),
        (a_flavor(), "kvm kvm_gpu_type", []),
        (a_flavor(performance=None), "kvm_gpu_type", []),
        (a_flavor(), "kvm kvm_infiniband", []),
        (a_flavor("xen"), "xen_hana", [(REFUSED, Check.HARDWARE)]),
        (a_flavor("xen", "saphana"), "xen_hana", []),
        (a_flavor("kvm", "saphana"), "kvm", [(WARNING, Check.HARDWARE)]),
        (a_flavor("kvm", "saphana"), "kvm largememory", []),
        (a_flavor("kvm", "diskintensive"), "kvm", [(WARNING, Check.HARDWARE)]),
        (a_flavor("kvm", "diskintensive"), "kvm diskintensive", []),
        (a_flavor("kvm", "ultracpu"), "kvm", [(WARNING, Check.HARDWARE)]),
    ],
)
def test_an_image_is_for_the_hardware_of_the_flavor(
    flavor: Flavor, supports: str, expected: list[tuple[Level, Check]]
) -> None:
    image = replace(DEBIAN, supports=frozenset(supports.split()))
    assert found(server(flavor="f"), image, ProjectFacts(flavors={"f": flavor})) == expected
    assert found(server(flavor="unknown"), image, ProjectFacts(flavors={"f": flavor})) == []


@pytest.mark.parametrize(
    ("state", "own", "image"),
    [
        (KeyState.ENABLED, [], []),
        (KeyState.DISABLED, [(REFUSED, Check.ENCRYPTION_KEY)], [(REFUSED, Check.ENCRYPTION_KEY)]),
        (KeyState.DELETION, [(REFUSED, Check.ENCRYPTION_KEY)], [(REFUSED, Check.ENCRYPTION_KEY)]),
        (KeyState.ABSENT, [(REFUSED, Check.ENCRYPTION_KEY)], []),
        (KeyState.UNKNOWN, [], []),
    ],
)
def test_the_keys_of_the_disk_and_of_the_image(
    state: KeyState, own: list[tuple[Level, Check]], image: list[tuple[Level, Check]]
) -> None:
    around = ProjectFacts(keys={"key": state})
    asked = {"__system__encrypted": "1", "__system__cmkid": "key"}
    assert found(SERVER, DEBIAN, around, **asked) == own
    assert found(SERVER, replace(DEBIAN, key_id="key"), around) == image
    assert found(SERVER, replace(DEBIAN, key_id="key"), around, **asked) == own
    assert found(SERVER, replace(DEBIAN, key_id="other"), around) == []


@pytest.mark.parametrize(
    ("flavor", "old", "new", "expected"),
    [
        ("s3", None, None, []),
        ("s3", None, "x86", []),
        ("s3", None, "arm", [(REFUSED, Check.ARCHITECTURE)]),
        ("kc1", None, None, [(REFUSED, Check.ARCHITECTURE)]),
        ("kc1", "x86", "arm", []),
        ("unknown", "arm", "x86", [(REFUSED, Check.ARCHITECTURE)]),
        ("unknown", None, "arm", []),
    ],
)
def test_the_flavor_and_else_the_old_image_tell_the_processor(
    flavor: str, old: str | None, new: str | None, expected: list[tuple[Level, Check]]
) -> None:
    around = ProjectFacts(images={OLD_IMAGE: replace(OLD_DEBIAN, architecture=old)}, flavors=FLAVORS)
    assert found(server(flavor=flavor), replace(DEBIAN, architecture=new, firmware="bios"), around) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("bios", "bios", []),
        (None, "bios", []),
        ("bios", None, []),
        ("bios", "uefi", [(REFUSED, Check.FIRMWARE)]),
        (None, "uefi", [(WARNING, Check.FIRMWARE)]),
        ("uefi", None, [(WARNING, Check.FIRMWARE)]),
    ],
)
def test_firmware_that_is_only_inferred_refuses_nobody(
    old: str | None, new: str | None, expected: list[tuple[Level, Check]]
) -> None:
    around = ProjectFacts(images={OLD_IMAGE: replace(OLD_DEBIAN, firmware=old)})
    assert found(SERVER, replace(DEBIAN, firmware=new), around) == expected


def an_image(name: str, day: int, status: str = "active") -> Image:
    return Image(f"{name}-{day}", name, status, created_at=datetime(2026, 1, day, tzinfo=UTC))


@pytest.mark.parametrize(
    ("others", "newer"),
    [
        ([], None),
        ([an_image("Debian_12_latest", 9)], "Debian_12_latest-9"),
        ([an_image("Debian_13_latest", 5)], "Debian_13_latest-5"),
        ([an_image("Debian_13_latest", 5), an_image("Debian_14_latest", 6)], "Debian_14_latest-6"),
        ([an_image("Debian_13_latest", 9, "saving")], None),
        ([an_image("Debian_11_latest", 9)], None),
        ([an_image("Debian_13_latest", 4)], None),
        ([an_image("Debian_latest", 9), an_image("Ubuntu_13_latest", 9)], None),
    ],
)
def test_a_newer_image_of_the_same_pattern_is_told(others: list[Image], newer: str | None) -> None:
    pinned = an_image("Debian_12_latest", 5)
    around = ProjectFacts(images={one.id: one for one in (pinned, *others)})
    findings = list(newer_images([pinned, pinned], around))
    assert [(one.level, one.check) for one in findings] == ([] if newer is None else [(NOTE, Check.NEWER_IMAGE)])
    assert newer is None or f"({newer})" in findings[0].text


@pytest.mark.parametrize(
    ("around", "checks"),
    [
        (ProjectFacts(disk_quota=Quota(disks=10, disks_gib=400), server_quota=Quota(servers=10)), []),
        (ProjectFacts(disk_quota=Quota(disks=9)), [Check.DISK_QUOTA]),
        (ProjectFacts(disk_quota=Quota(disks_gib=399)), [Check.DISK_QUOTA]),
        (ProjectFacts(server_quota=Quota(servers=0)), [Check.SERVER_QUOTA]),
        (ProjectFacts(disks=Disks({}, whole=False)), [Check.NOT_CHECKED]),
    ],
)
def test_room_for_what_changes_at_once(around: ProjectFacts, checks: list[Check]) -> None:
    assert [one.check for one in project_findings(around, 10, 40)] == checks


def test_runs_that_hold_servers_of_the_plan_are_told() -> None:
    names = {f"s{number}": f"web-{number:02}" for number in range(9)}
    holders = {"s8": "run-b", **dict.fromkeys(list(names)[:7], "run-a")}
    first, second = claim_findings(holders, names)
    assert (first.level, first.check, first.subject) == (WARNING, Check.CLAIMED, "run run-a")
    assert first.text.startswith("holds web-00, web-01, web-02, web-03, web-04 and 2 more, so")
    assert (second.text, second.hint) == (
        "holds web-08, so that apply would not begin",
        "why, and what to do about it: fleetos status run-b",
    )


def test_what_could_not_be_read_is_told_and_a_missing_permission_is_worse() -> None:
    unread = (Unread("disks", "no", "sizes are", denied=True), Unread("flavors", "none", "the architecture is"))
    assert list(project_findings(ProjectFacts(unread=unread), 1, 40)) == [
        Finding(
            WARNING,
            Check.NOT_CHECKED,
            "disks",
            "sizes are not checked: no",
            "fleetos doctor shows which permission the user lacks",
        ),
        Finding(NOTE, Check.NOT_CHECKED, "flavors", "the architecture is not checked: none"),
    ]


@pytest.mark.parametrize(("charging", "first"), [("0", "pay what the account owes"), ("1", "renew or pay its order")])
def test_a_freeze_is_said_to_end_by_what_ends_it(charging: str, first: str) -> None:
    findings = server_findings(ServerCheckInput(server(frozen=True, charging=charging), DEBIAN, {}, NOTHING_KNOWN))
    hint = next(one.hint for one in findings if one.check is Check.FROZEN) or ""
    assert hint.startswith(first)
    assert "support desk" in hint
    assert "image" not in hint


@pytest.mark.parametrize(("at_once", "lower"), [(1, False), (2, True)])
def test_one_change_at_a_time_cannot_be_fewer(at_once: int, lower: bool) -> None:
    around = ProjectFacts(disk_quota=Quota(disks=0), server_quota=Quota(servers=0))
    hints = [one.hint or "" for one in project_findings(around, at_once, 40)]
    assert len(hints) == 2
    assert all(("rollout.concurrency" in hint) is lower for hint in hints)


@pytest.mark.parametrize(("api", "other"), [("v1", "`api: v2`"), ("v2", "`api: v1`")])
def test_the_other_api_is_advised(api: Literal["v1", "v2"], other: str) -> None:
    image = replace(DEBIAN, inject_flag="true")
    order = Order(image.id, image.name, api, keyname="key")
    (finding,) = order_findings(order, image, CloudFacts())
    assert other in (finding.hint or "")


def test_a_managed_server_that_the_plan_allows_is_told() -> None:
    pairing = ServerCheckInput(server(managed_by="CCE"), DEBIAN, {}, NOTHING_KNOWN, allowed=True)
    assert [(one.level, one.check) for one in server_findings(pairing)] == [(WARNING, Check.MANAGED)]


def test_a_server_with_the_tag_is_refused_unless_the_plan_names_it() -> None:
    tagged = replace(server(), tags={"fleetos-protect": ""})
    for unprotected, level in ((False, REFUSED), (True, WARNING)):
        pairing = ServerCheckInput(tagged, DEBIAN, {}, NOTHING_KNOWN, allowed=True, unprotected=unprotected)
        assert [(one.level, one.check) for one in server_findings(pairing)] == [(level, Check.PROTECTED)]
    like_it = replace(server(), tags={"fleetos-protected": "", "role": "fleetos-protect"})
    assert list(server_findings(ServerCheckInput(like_it, DEBIAN, {}, NOTHING_KNOWN))) == []


@pytest.mark.parametrize(
    ("host", "region", "level"),
    [
        ("ecs.eu-west-101.myhuaweicloud.eu", "eu-west-101", REFUSED),
        ("ecs.ap-southeast-3.myhuaweicloud.com", "ap-southeast-3", REFUSED),
        ("ecs.cn-north-4.myhuaweicloud.com", "cn-north-4", WARNING),
        ("ecs.eu-de.otc.t-systems.com", "eu-de", WARNING),
        ("ecs.ap-southeast-3.myhuaweicloud.com.example.org", "ap-southeast-3", WARNING),
    ],
)
def test_windows_is_refused_where_the_api_page_says_so(host: str, region: str, level: Level) -> None:
    windows = replace(DEBIAN, os_type="Windows")
    pairing = ServerCheckInput(server(), windows, {}, NOTHING_KNOWN, no_windows=takes_no_windows(host, region))
    assert [(one.level, one.check) for one in server_findings(pairing)] == [(level, Check.OS_TYPE)]
