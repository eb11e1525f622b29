"""Loading a plan: what comes out of a good one, and what is said of a bad one."""

import math

import pytest

from fleetos.errors import InputError
from fleetos.limits import USER_DATA_MAX_BYTES
from fleetos.model.plan import (
    ApiChoice,
    ApiLimits,
    ChangeSpec,
    FailurePolicy,
    Polling,
    PowerAfter,
    Rollout,
    SecretRef,
    Share,
    StopMode,
    Timeouts,
)
from fleetos.planning.plan_file.load import load_plan
from tests.support.builders import server_id
from tests.unit.planning.plan_folder import HEAD, PlanFolder, places

EVERYTHING = """\
version: 1
name: everything
cloud: otc-prod
region: eu-de
change:
  image: Debian
  api: v2
  keyname: key
  userid: 7e25b1da389f4697a79df3a0e5bd494e
  user_data: {file: cloud-init.yaml}
  metadata: {__system__encrypted: "1", __system__cmkid: 83cdb52d-9ebf-4469-9cfa-e7b5b80da846, BYOL: "true"}
servers:
  - id: 616FB98F-46ca-475e-917e-000000000001
    labels: {pair: web-a}
  - name: web-02
    change: {adminpass: {file: secrets/pw}, api: v1, user_data: {text: hello}}
exclude:
  - name: "*-gold"
  - id: 616fb98f-46ca-475e-917e-000000000009
rollout: {concurrency: 12.5%, stop: hard, force: true, power_after: as-before}
failure: {attempts: 3, backoff: 1m30s, max_backoff: 1h}
timeouts: {stop: 1m, change: 2h, settle: 15m, start: 90s}
polling: {min: 200ms, max: 1.5s}
api: {rate: 200/5m, connections: 4}
"""


def test_every_key_arrives_in_the_plan(plans: PlanFolder) -> None:
    plan = plans.plan(EVERYTHING.replace("api: v1, ", ""), {"cloud-init.yaml": "#cloud-config\n"})
    assert (plan.name, plan.cloud, plan.region) == ("everything", "otc-prod", "eu-de")
    change = plan.change
    assert (change.image, change.api, change.keyname) == ("Debian", ApiChoice.V2, "key")
    assert change.userid == "7e25b1da389f4697a79df3a0e5bd494e"
    assert change.metadata == {
        "__system__encrypted": "1",
        "__system__cmkid": "83cdb52d-9ebf-4469-9cfa-e7b5b80da846",
        "BYOL": "true",
    }
    assert change.user_data is not None
    assert change.user_data.path == str(plans.folder / "cloud-init.yaml")
    first, second = plan.servers
    assert (first.id, first.name, first.labels) == (server_id(1), None, {"pair": "web-a"})
    assert (second.id, second.name) == (None, "web-02")
    assert second.change.adminpass == SecretRef("file", "secrets/pw")
    assert second.change.user_data is not None
    assert second.change.user_data.in_plan
    assert [(one.id, one.name) for one in plan.exclude] == [(None, "*-gold"), (server_id(9), None)]
    assert plan.rollout == Rollout(
        Share(12.5, percent=True), StopMode.HARD, force=True, power_after=PowerAfter.AS_BEFORE
    )
    assert plan.failure == FailurePolicy(3, 90.0, 3600.0)
    assert plan.timeouts == Timeouts(60.0, 7200.0, 900.0, 90.0)
    assert plan.polling == Polling(0.2, 1.5)
    assert plan.api.connections == 4
    assert plan.api.burst == 10
    assert plan.api.rate_per_s is not None
    assert math.isclose(plan.api.rate_per_s * 300 + plan.api.burst - 1, 200)


def test_what_is_left_out_has_the_defaults_of_the_model(plans: PlanFolder) -> None:
    plan = plans.plan(HEAD + "servers: [{name: web-01}]\n")
    assert (plan.cloud, plan.region, plan.exclude) == (None, None, ())
    assert plan.rollout == Rollout()
    assert plan.failure == FailurePolicy()
    assert plan.timeouts == Timeouts()
    assert plan.polling == Polling()
    assert plan.api == ApiLimits()
    assert plan.change == ChangeSpec(image="Debian", keyname="key")
    assert plan.servers[0].change == ChangeSpec()


def test_each_key_knows_its_place(plans: PlanFolder) -> None:
    plan = plans.plan(EVERYTHING.replace("api: v1, ", ""), {"cloud-init.yaml": "x"})
    file = str(plans.folder / "plan.yaml")
    assert str(plan.place("timeouts.settle")) == f"{file}:22:34"
    assert str(plan.place("change.image")) == f"{file}:6:3"
    assert plan.place("change.metadata.BYOL").line == 11
    assert plan.place("api.nothing").line is None
    assert plan.place("api.nothing").file == file
    assert str(plan.servers[1].place) == f"{file}:15:5"
    assert plan.servers[1].place.key == "servers[1].name"
    assert str(plan.servers[1].change.places["adminpass"]) == f"{file}:16:14"


def test_all_problems_of_a_file_are_reported_at_once_and_in_order(plans: PlanFolder) -> None:
    text = """\
    version: 2
    name: Web Tier
    colud: otc
    change:
      image: Debian
      keynmae: key
      metadata: {__system__encrypted: 1, BYOL: true, color: red}
    servers:
      - id: web-01
      - name: "web-*"
      - file: nothere.csv
      - select: {nmae: x, status: active, ip: 10.0.0.7/24, tags: {role: [web, 1]}}
      - labels: {}
      - name: twice
        id: 616fb98f-46ca-475e-917e-000000000001
      - name: ok
        change: {api: v1, user_data: {text: hello}}
    rollout: {concurrency: 0, waves: [0], stop: softly, force: "yes"}
    failure: {max_failed: -%, backoff: 30, attempts: 2.5}
    timeouts: {settle: never, stop: 500h}
    hooks: {}
    api: {rate: 5/x, connections: 1000}
    """
    problems = plans.problems(text)
    assert places(problems) == [
        (1, 1, "version"),
        (2, 1, "name"),
        (3, 1, "colud"),
        (6, 3, "change.keynmae"),
        (7, 14, "change.metadata.__system__encrypted"),
        (7, 38, "change.metadata.BYOL"),
        (7, 50, "change.metadata.color"),
        (9, 5, "servers[0].id"),
        (10, 5, "servers[1].name"),
        (11, 5, "servers[2].file"),
        (12, 14, "servers[3].select.nmae"),
        (12, 23, "servers[3].select.status"),
        (12, 39, "servers[3].select.ip"),
        (12, 75, "servers[3].select.tags.role[1]"),
        (13, 5, "servers[4]"),
        (14, 5, "servers[5].name"),
        (17, 23, "servers[6].change.user_data"),
        (18, 11, "rollout.concurrency"),
        (18, 35, "rollout.waves[0]"),
        (18, 39, "rollout.stop"),
        (18, 53, "rollout.force"),
        (19, 11, "failure.max_failed"),
        (19, 27, "failure.backoff"),
        (19, 40, "failure.attempts"),
        (20, 12, "timeouts.settle"),
        (20, 27, "timeouts.stop"),
        (21, 1, "hooks"),
        (22, 7, "api.rate"),
        (22, 18, "api.connections"),
    ]
    assert {one.file for one in problems} == {str(plans.folder / "plan.yaml")}


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("{image: a, keyname: k, adminpass: {env: X}}", "change.adminpass"),
        (
            "{image: a, metadata: {__system__cmkid: 83cdb52d-9ebf-4469-9cfa-e7b5b80da846}}",
            "change.metadata.__system__cmkid",
        ),
        (
            '{image: a, metadata: {__system__encrypted: "0", __system__cmkid: 83cdb52d-9ebf-4469-9cfa-e7b5b80da846}}',
            "change.metadata.__system__cmkid",
        ),
        (
            '{image: a, metadata: {__system__encrypted: "1", __system__cmkid: 83cdb52d}}',
            "change.metadata.__system__cmkid",
        ),
        ('{image: a, metadata: {BYOL: "false"}}', "change.metadata.BYOL"),
        ("{image: a, api: v1, user_data: {text: x}}", "change.user_data"),
        ("{image: a, user_data: {text: x, file: y}}", "change.user_data"),
        ("{image: a, user_data: {file: nothere}}", "change.user_data"),
        ("{image: a, user_data: x}", "change.user_data"),
        ("{image: a, api: v3}", "change.api"),
        ("{image: a, userid: not an id}", "change.userid"),
        ("{keyname: k}", "change.image"),
        ("{image: 12}", "change.image"),
        ('{image: "a\\tb"}', "change.image"),
    ],
)
def test_a_change_that_contradicts_itself_is_refused(plans: PlanFolder, change: str, key: str) -> None:
    assert plans.problem(f"version: 1\nname: x\nchange: {change}\nservers: [{{name: web-01}}]\n").key == key


def test_a_server_may_take_another_login_than_the_plan(plans: PlanFolder) -> None:
    plan = plans.plan(HEAD + "servers: [{name: web-01, change: {adminpass: {env: PW}}}]\n")
    effective = plan.servers[0].change.over(plan.change)
    assert (effective.keyname, effective.adminpass) == (None, SecretRef("env", "PW"))
    assert effective.image == "Debian"


def test_an_override_of_the_api_meets_the_user_data_of_the_plan(plans: PlanFolder) -> None:
    text = """\
    version: 1
    name: x
    change: {image: a, user_data: {text: hello}}
    servers: [{name: web-01, change: {api: v1}}]
    """
    assert places(plans.problems(text)) == [(3, 20, "change.user_data")]


def test_each_server_needs_an_image(plans: PlanFolder) -> None:
    servers = "servers: [{name: a, change: {image: x}}, {name: b}, {name: c}]\n"
    problem = plans.problem("version: 1\nname: x\n" + servers)
    assert (problem.key, problem.expected) == ("servers[1].name", "an image for this server (and 1 more servers)")
    plan = plans.plan("version: 1\nname: x\nservers: [{name: a, change: {image: x}}]\n")
    assert plan.servers[0].change.image == "x"


def test_a_lower_bound_above_its_upper_bound_is_refused(plans: PlanFolder) -> None:
    text = HEAD + "servers: [{name: a}]\nfailure: {backoff: 20m}\npolling: {min: 2m, max: 1m}\n"
    first, second = plans.problems(text)
    assert (first.key, first.expected) == ("failure.backoff", "at most failure.max_backoff, which is 15m")
    assert (second.key, second.expected) == ("polling.min", "at most polling.max, which is 1m")


def test_user_data_is_bounded_and_never_empty(plans: PlanFolder) -> None:
    text = HEAD + "servers: [{name: a, change: {user_data: {file: data}}}]\n"
    assert plans.plan(text, {"data": b"x" * USER_DATA_MAX_BYTES}).servers[0].change.user_data is not None
    assert "is larger" in plans.problem(text, {"data": b"x" * (USER_DATA_MAX_BYTES + 1)}).expected
    assert "is empty" in plans.problem(text, {"data": b""}).expected


def test_duplicates_are_merged(plans: PlanFolder) -> None:
    text = """\
    servers:
      - name: web-01
        labels: {pair: a}
      - name: web-02
      - name: web-01
        change: {image: other}
        labels: {rack: r1, pair: a}
    """
    plan = plans.plan(HEAD + "\n".join(line[4:] for line in text.splitlines()))
    assert [one.name for one in plan.servers] == ["web-01", "web-02"]
    assert plan.servers[0].labels == {"pair": "a", "rack": "r1"}
    assert plan.servers[0].change.image == "other"


def test_conflicting_duplicates_are_refused_naming_both_places(plans: PlanFolder) -> None:
    text = (
        HEAD
        + "servers:\n"
        + "  - {name: a, change: {keyname: k1}, labels: {pair: x}}\n"
        + "  - {name: a, change: {keyname: k2}, labels: {pair: y}}\n"
        + "  - {name: a, change: {adminpass: {env: X}}}\n"
    )
    problems = plans.problems(text)
    assert [(one.line, one.column) for one in problems] == [(6, 6), (6, 24), (7, 6)]
    assert all(":5:" in one.expected for one in problems[:2])


@pytest.mark.parametrize(
    "written",
    [
        "hunter2-Secret",
        "{env: hunter2-Secret}",
        "{hunter2-Secret}",
        "{hunter2-Secret: x}",
        "{env: A, hunter2-Secret: x}",
        "{literal: hunter2-Secret}",
        "[hunter2-Secret]",
        "!hunter2-Secret x",
        "*hunter2-Secret",
        "'hunter2-Secret' hunter2-Secret",
        '"hunter2-Secret',
        "|\n hunter2-Secret\n",
        "{env: [hunter2-Secret]}",
        "hunter2-Secret: x",
        "{hunter2-Secret: 1, hunter2-Secret: 2}",
        "{hunter2-Secret: [" + "[" * 30,
        "{hunter2-Secret: !x y}",
    ],
)
def test_a_password_in_the_plan_is_refused_and_never_repeated(plans: PlanFolder, written: str) -> None:
    text = f"version: 1\nname: x\nchange:\n  image: a\n  adminpass: {written}\nservers: [{{name: web-01}}]\n"
    problems = plans.problems(text)
    assert problems
    assert not any("hunter2" in str(one) or "Secret" in str(one) for one in problems)


def test_a_literal_password_gets_its_own_hint(plans: PlanFolder) -> None:
    problem = plans.problem("version: 1\nname: x\nchange: {image: a, adminpass: hunter2}\nservers: [{name: a}]\n")
    assert problem.key == "change.adminpass"
    assert "a password in the plan itself is refused" in (problem.hint or "")


def test_a_key_without_a_value_is_refused(plans: PlanFolder) -> None:
    text = HEAD + "servers:\n  - name: a\n    change:\n      keyname:\nrollout:\n"
    assert places(plans.problems(text)) == [(7, 7, "servers[0].change.keyname"), (8, 1, "rollout")]


@pytest.mark.parametrize("text", ["- a\n", "just text\n", "12\n", "~\n"])
def test_a_document_that_is_no_mapping_is_refused(plans: PlanFolder, text: str) -> None:
    assert "no mapping" in plans.problem(text).expected


def test_required_keys_are_named(plans: PlanFolder) -> None:
    problems = plans.problems("change: {image: a}\n")
    assert {one.key for one in problems} == {"version", "name", "servers"}


def test_no_servers_at_all_is_refused(plans: PlanFolder) -> None:
    assert plans.problem(HEAD + "servers: []\n").expected == "at least one entry"
    assert "at least one server" in plans.problem(HEAD + "servers: [{file: s.csv}]\n", {"s.csv": "name\n"}).expected


def test_a_plan_file_that_is_not_there(plans: PlanFolder) -> None:
    (plans.folder / "plan.yaml").mkdir()
    for path in (plans.folder / "plan.yaml", plans.folder / "none.yaml"):
        with pytest.raises(InputError) as caught:
            load_plan(path)
        assert caught.value.problems[0].file == str(path)
        assert caught.value.exit_code == 65
