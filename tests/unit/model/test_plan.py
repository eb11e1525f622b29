"""The plan's own arithmetic: shares, and what a server gets over what every server gets."""

from pathlib import Path

import pytest

from fleetos.model.plan import CHANGE_KEYS, ApiChoice, ChangeSpec, Plan, SecretRef, Share, SourcePosition, UserDataRef

PASSWORD = SecretRef("env", "PW")
HERE, THERE = (
    SourcePosition("plan.yaml", 3, 5, "change.image"),
    SourcePosition("plan.yaml", 9, 7, "servers[0].change.image"),
)
FULL = ChangeSpec(
    image="a",
    api=ApiChoice.V1,
    keyname="k",
    userid="u",
    user_data=UserDataRef("/plans/data", in_plan=False, sha256="00"),
    metadata={"BYOL": "true"},
    places={"image": HERE},
)


@pytest.mark.parametrize(
    ("one", "total", "number"),
    [
        (Share(3), 100, 3),
        (Share(0.5, percent=True), 100, 1),
        (Share(29, percent=True), 100, 29),
        (Share(12.5, percent=True), 31, 3),
        (Share(100, percent=True), 7, 7),
        (Share(50, percent=True), 0, 1),
    ],
)
def test_a_share_rounds_down_but_not_below_the_least(one: Share, total: int, number: int) -> None:
    assert one.of(total, at_least=1) == number


def test_nothing_of_its_own_is_what_every_server_gets() -> None:
    assert ChangeSpec().over(FULL) is FULL
    assert dict(ChangeSpec().written) == {}


def test_each_key_of_its_own_replaces_the_common_one() -> None:
    own = ChangeSpec(image="b", api=ApiChoice.AUTO, places={"image": THERE})
    both = own.over(FULL)
    assert (both.image, both.api, both.keyname, both.userid) == ("b", ApiChoice.AUTO, "k", "u")
    assert both.places["image"] is THERE
    assert FULL.over(ChangeSpec()).written == FULL.written
    assert set(FULL.written) == set(CHANGE_KEYS) - {"adminpass", "reinstall"}


def test_a_login_of_its_own_replaces_the_common_login() -> None:
    by_password = ChangeSpec(adminpass=PASSWORD).over(FULL)
    assert (by_password.keyname, by_password.adminpass) == (None, PASSWORD)
    by_key = ChangeSpec(keyname="own").over(by_password)
    assert (by_key.keyname, by_key.adminpass) == ("own", None)


def test_an_image_of_its_own_replaces_the_common_reinstall_and_the_other_way_round() -> None:
    again = ChangeSpec(reinstall=True).over(FULL)
    assert (again.image, again.reinstall, again.keyname) == (None, True, "k")
    named = ChangeSpec(image="own").over(again)
    assert (named.image, named.reinstall) == ("own", None)
    assert ChangeSpec(userid="x").over(again).reinstall


def test_empty_metadata_of_its_own_takes_the_common_one_away() -> None:
    assert ChangeSpec(metadata={}).over(FULL).metadata == {}


def test_a_key_that_is_left_out_has_the_file_as_its_place() -> None:
    root = SourcePosition("plan.yaml", 1, 1, "")
    plan = Plan(Path("/plans/plan.yaml"), "x", FULL, (), "", places={"": root, "change.image": HERE})
    assert plan.place("change.image") is HERE
    assert plan.place("api.rate") == SourcePosition("plan.yaml", None, None, "api.rate")
    assert str(plan.place("api.rate")) == "plan.yaml"
