"""What is read before a run may begin says what is lost, and by which rules."""

from dataclasses import replace

import pytest

from fleetos.model.plan import PowerAfter, StopMode
from fleetos.model.progress import Progress
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.model.wipes import wipes_of
from fleetos.views.terminal.confirmation import (
    abort_confirmation,
    carry_on_confirmation,
    carry_on_question,
    confirmation,
    question,
    retry_confirmation,
    rules,
)
from tests.unit.views.run_history import IMAGE, SETTINGS, server_id, target, web_tier_run
from tests.unit.views.text.test_format import HOSTILE


def test_the_whole_text() -> None:
    targets = [replace(target(number), disk=f"disk-{number}") for number in range(3)]
    text = confirmation(web_tier_run(), targets, {Reason.ALREADY_ON_IMAGE: 4, Reason.LOCKED: 0}, shown=2)
    assert text.plain == (
        "  WIPES system disk disk-0 of web-00\n"
        "  WIPES system disk disk-1 of web-01\n"
        "  and 1 system disk more\n"
        "WIPES 3 system disks. What is on them is lost; data disks are kept.\n"
        "  cloud otc-prod, region eu-de, project 0a1b\n"
        f"  image Standard_Debian_12_latest pinned to {IMAGE}\n"
        "  spared: 4, already on the image\n"
        "  At most 40 at once.\n"
        "  Each server is tried at most 2 times.\n"
        "  After a failure the next try waits 30s, then twice as long each time, up to 15m.\n"
        "  A running server is asked to shut down, and switched off if it does not.\n"
        "  An unknown outcome is watched for 10m before that server is sent anything again.\n"
        "  A change that takes longer than 1h is overdue and ends up held."
    )


def test_names_that_are_not_the_only_ones_have_their_ids_and_several_images_their_names() -> None:
    twins = [target(0, "web"), target(1, "web"), target(2, "db")]
    two_images = web_tier_run(images={"Standard_Debian_12_latest": IMAGE, "Gold": "another-id"})
    lines = confirmation(two_images, twins, {}).plain.splitlines()
    assert lines[:3] == [
        f"  WIPES system disk disk-old of web ({server_id(0)}) for Standard_Debian_12_latest",
        f"  WIPES system disk disk-old of web ({server_id(1)}) for Standard_Debian_12_latest",
        "  WIPES system disk disk-old of db for Standard_Debian_12_latest",
    ]


def test_an_image_that_servers_get_once_more_has_its_name_and_id() -> None:
    again = [target(number) for number in range(3)]
    again = [
        replace(one, order=replace(one.order, reinstall=True, image_id=f"id-{one.position // 2}")) for one in again
    ]
    for text in (confirmation(web_tier_run(images={}), again, {}), retry_confirmation(web_tier_run(images={}), again)):
        lines = text.plain.splitlines()
        assert "  WIPES system disk disk-old of web-00 for Standard_Debian_12_latest" in lines
        assert "  image Standard_Debian_12_latest pinned to id-0, once more for 2 servers on it" in lines
        assert "  image Standard_Debian_12_latest pinned to id-1, once more for 1 server on it" in lines


def test_a_small_screen_still_has_the_sum_and_the_rules() -> None:
    disk = "94ab0bb6-984e-4f45-b501-eb7915dc8214"
    text = confirmation(web_tier_run(), [replace(target(number), disk=disk) for number in range(200)], {}).plain
    assert all(len(line) < 90 for line in text.splitlines())
    last = text.splitlines()[-20:]
    assert any(line.startswith("WIPES 200 system disks") for line in last)
    assert any("pinned to" in line for line in last)


def test_wipes_is_red() -> None:
    text = confirmation(web_tier_run(), [target(0)], {})
    red = [text.plain[span.start : span.end] for span in text.spans if "red" in str(span.style)]
    assert "".join(red) == "WIPES system diskWIPES 1 system disk"


def test_nothing_to_wipe() -> None:
    assert confirmation(web_tier_run(), [], {}).plain.startswith("No system disk will be wiped.\n")


def test_a_retry_names_the_disks_that_it_would_wipe() -> None:
    text = retry_confirmation(web_tier_run(), [replace(target(0), disk="disk-left-by-a-failure")]).plain
    assert "WIPES 1 system disk." in text
    assert "Each gets one more attempt." in text
    assert "WIPES system disk disk-left-by-a-failure of web-00" in text


def test_a_retry_names_every_disk_however_many() -> None:
    text = retry_confirmation(web_tier_run(), [target(number) for number in range(300)]).plain
    assert text.count("WIPES system disk ") == 300


def test_ten_thousand_servers_are_a_short_text() -> None:
    text = confirmation(web_tier_run(), [target(number) for number in range(10_000)], {}).plain
    assert "WIPES 10,000 system disks" in text
    assert len(text.splitlines()) < 35


def test_rules_follow_the_settings() -> None:
    settings = replace(
        SETTINGS, stop=StopMode.API, attempts=1, concurrency=1, power_after=PowerAfter.AS_BEFORE, force=True
    )
    sentences = rules(web_tier_run(settings=settings))
    assert sentences[0] == "At most 1 at once."
    assert sentences[1] == "Each server is tried once."
    assert not any("After a failure" in one for one in sentences)
    assert any("unknown outcome is then never sent again" in one for one in sentences)
    assert any("stopped again" in one for one in sentences)
    assert any("run the image already are changed" in one for one in sentences)


def test_every_way_to_stop_has_its_sentence() -> None:
    said = {rules(web_tier_run(settings=replace(SETTINGS, stop=mode)))[3] for mode in StopMode}
    assert len(said) == len(StopMode)


def test_the_question_asks_for_the_number() -> None:
    assert question(12) == "Type the number of system disks that will be wiped (12 servers) to go on: "


def test_hostile_names_stay_in_their_line() -> None:
    text = confirmation(web_tier_run(images={HOSTILE: HOSTILE}), [target(0, HOSTILE)], {}).plain
    assert all(line.isprintable() for line in text.split("\n"))


def test_a_run_that_is_carried_on_says_what_is_left_and_where() -> None:
    paused = web_tier_run(state=RunState.PAUSED, reason=Reason.UNREACHABLE, wipes=4)
    targets = [replace(target(0), state=TargetState.DONE), replace(target(1), state=TargetState.CHANGING), target(2)]
    wipes = wipes_of(paused, targets)
    text = carry_on_confirmation(wipes).plain
    assert f"run {paused.id} of plan {paused.name} is unfinished (paused: cloud unreachable), created 2026-" in text
    assert "WIPES 1 system disk." in text
    assert "The run was created to wipe 4." in text
    assert "1 server under way already" in text
    assert f"cloud {paused.scope.cloud}, region eu-de, project {paused.scope.project_id}" in text
    assert carry_on_question(wipes).startswith(f"Carry on with run {paused.id}? It wipes 1 system disk for ")
    aborted = wipes_of(replace(paused, state=RunState.FINISHING), targets)
    assert carry_on_question(aborted) == f"Carry on with run {paused.id}? It wipes no further system disk."


@pytest.mark.parametrize("driver", [None, "process 7 of root on vm"])
def test_an_abort_says_that_it_wipes_nothing_and_what_becomes_of_whom(driver: str | None) -> None:
    states = (TargetState.WAITING, TargetState.READY, TargetState.DONE, TargetState.BACKOFF)
    text = abort_confirmation(
        Progress(web_tier_run(), [replace(target(n), state=state) for n, state in enumerate(states)]), driver
    ).plain
    assert "wipes nothing" in text
    assert "WIPES" not in text
    assert "2 servers not started yet" in text
    assert "1 server about to be changed" in text
    assert "in flight" not in text
    assert ("process 7 of root on vm drives it" in text) is (driver is not None)
