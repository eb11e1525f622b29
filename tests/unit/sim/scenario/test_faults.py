from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.fault_table import FaultDecision, FaultTable
from fleetos.sim.scenario.faults import NO_EFFECT, Operation, Rule
from fleetos.sim.wire.error_codes import refusal
from fleetos.sim.wire.messages import Cut, Ending, Hang, NeverSent, SimResponse
from fleetos.sim.world.journal import JournalLine
from fleetos.sim.world.orders import PowerOrder
from tests.support import ledger as judge
from tests.unit.sim.harness import SimHarness, stopped

RULES: TypeAdapter[list[Rule]] = TypeAdapter(list[Rule])


def table(*rules: object, seed: int = 1) -> FaultTable:
    return FaultTable(RULES.validate_python(list(rules)), RandomDraws(seed), lambda server_id: f"name-{server_id}")


def endings(sim: SimHarness, number: int) -> list[Ending]:
    return [sim.send("GET", f"/v1/{{p}}/cloudservers/{sim.id()}").ending for _ in range(number)]


# --- the table ---------------------------------------------------------------------------------------------


def test_nth_counts_per_operation_and_server() -> None:
    rules = table({"on": "changeos", "do": "cut-after", "nth": [2]})
    asked: list[tuple[Operation, str]] = [
        ("changeos", "a"), ("changeos", "b"), ("stop", "a"), ("changeos", "a"), ("changeos", "a"),
    ]  # fmt: skip
    lost = [rules.decide(operation, (server,), 0).whole.lost for operation, server in asked]
    assert lost == [None, None, None, "cut", None]


def test_servers_are_named_by_id_name_or_pattern() -> None:
    rules = table({"on": "detail", "do": "cut-before", "servers": ["a", "name-b", "name-c*"]})
    hit = [server for server in ("a", "b", "c", "cc", "d") if rules.decide("detail", (server,), 0).whole.dropped]
    assert hit == ["a", "b", "c", "cc"]


def test_per_server_bounds_the_hits() -> None:
    rules = table({"on": "changeos", "do": "fail", "per_server": 2})
    failed = [rules.decide("changeos", ("a",), 0).whole.fail is not None for _ in range(4)]
    assert failed == [True, True, False, False]


def test_the_first_rule_that_sets_something_wins() -> None:
    rules = table(
        {"on": "write", "do": "fail", "code": "Ecs.0202"},
        {"on": "changeos", "do": "fail", "code": "Ecs.0219"},
        {"on": "any", "do": "cut-after"},
    )
    fate = rules.decide("changeos", ("a",), 0).whole
    assert fate.fail is not None
    assert (fate.fail.code, fate.lost, fate.rules) == ("Ecs.0202", "cut", (0, 1, 2))


def test_a_call_on_several_servers_is_lost_as_a_whole_and_fails_one_by_one() -> None:
    rules = table(
        {"on": "stop", "do": "cut-after", "servers": ["b"]}, {"on": "stop", "do": "no-effect", "servers": ["b", "c"]}
    )
    decision = rules.decide("stop", ("a", "b", "c"), 0)
    assert (decision.whole.lost, decision.whole.no_effect) == ("cut", False)
    assert {server: fate.no_effect for server, fate in decision.servers.items()} == {"b": True, "c": True}
    assert all(fate.lost is None for fate in decision.servers.values())


def test_groups_of_operations() -> None:
    rules = table({"on": ["read", "token"], "do": "refuse"})
    hit = {o for o in Operation.__args__ if rules.decide(o, (), 0).whole.refuse is not None}
    assert hit == set(Operation.__args__) - {"changeos", "reinstallos", "stop", "start", "reboot"}


@given(st.integers(), st.floats(0, 1), st.lists(st.sampled_from("abcdefgh"), max_size=60))
def test_a_fate_depends_on_the_server_and_its_count_only(seed: int, rate: float, servers: list[str]) -> None:
    rule = {"on": "changeos", "do": "fail", "rate": rate, "code": ["Ecs.0202", "Ecs.0219"]}

    def fates(order: list[str]) -> Counter[tuple[str, str | None]]:
        rules = table(rule, seed=seed)
        decided = [(server, rules.decide("changeos", (server,), 0).whole.fail) for server in order]
        return Counter((server, fail.code if fail is not None else None) for server, fail in decided)

    assert fates(servers) == fates(sorted(servers))


def test_a_rate_is_met_about() -> None:
    rules = table({"on": "changeos", "do": "fail", "rate": 0.25})
    hits = sum(rules.decide("changeos", (str(number),), 0).whole.fail is not None for number in range(4000))
    assert 900 < hits < 1100


def test_a_throttle_lets_through_what_its_window_holds() -> None:
    rules = table({"on": "any", "do": "throttle", "requests": 2, "per_s": 10})
    refused = [rules.decide("list", (), at).whole.refuse is not None for at in (0, 1, 2, 9, 10.5, 10.6, 11.5)]
    assert refused == [False, False, True, True, False, True, False]


def test_counting_a_known_decision_equals_deciding() -> None:
    declared = (
        {"on": "stop", "do": "no-effect", "nth": [2], "per_server": 1},
        {"on": "stop", "do": "cut-after", "rate": 0.5, "per_server": 1},
    )
    one, other = table(*declared), table(*declared)
    calls = [("a",), ("a", "b"), ("b",), ("a", "b", "c"), ("c",), ("c",)]
    for servers in calls[:3]:
        decision = one.decide("stop", servers, 0)
        order = PowerOrder(kind="power", operation="stop", servers=servers)
        entry = JournalLine.model_validate_json(
            JournalLine.of_write(0, order, decision, "r").model_dump_json(exclude_defaults=True)
        )
        other.count_request("stop", servers, FaultDecision(entry.fate or NO_EFFECT, entry.fates))
    for servers in calls[3:]:
        assert one.decide("stop", servers, 0) == other.decide("stop", servers, 0)


# --- on the wire -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("do", "ending", "happens"),
    [
        ("cut-before", Cut(), False),
        ("cut-after", Cut(), True),
        ("close-before", Cut(reset=False), False),
        ("close-after", Cut(reset=False), True),
        ("hang-before", Hang(3600), False),
        ("hang-after", Hang(3600), True),
        ("unreachable", NeverSent(), False),
    ],
)
def test_answers_that_are_lost(do: str, ending: Ending, happens: bool) -> None:
    sim = stopped(faults=[{"on": "changeos", "do": do, "nth": [1]}])
    assert sim.send_change().ending == ending
    sim.wait(100)
    assert (sim.look()[0] == "ACTIVE") is happens
    (write,) = sim.ledger().writes
    assert (write.came, write.answer_lost) == ("accepted" if happens else "dropped", True)


def test_errors_before_and_after_the_effect() -> None:
    rules = [
        {"on": "changeos", "do": "refuse", "code": "Common.0001", "nth": [1]},
        {"on": "changeos", "do": "error-after", "status": 502, "form": "html", "nth": [2]},
    ]
    sim = stopped(faults=rules)
    assert sim.refused() == (500, "Common.0001")
    ending = sim.send_change().ending
    assert isinstance(ending, SimResponse)
    assert (ending.status, ending.body[:6]) == (502, b"<html>")
    sim.wait(100)
    assert sim.look()[0] == "ACTIVE"
    assert [w.came for w in sim.ledger().writes] == ["refused", "accepted"]


@pytest.mark.parametrize("answer", ["cut", "hang", "504"])
def test_a_late_effect_comes_after_its_answer_was_lost(answer: str) -> None:
    rule = {"on": "changeos", "do": "late", "seconds": [300, 300], "answer": answer, "nth": [1]}
    sim = stopped(faults=[rule])
    ending = sim.send_change().ending
    assert not isinstance(ending, SimResponse) or ending.status == 504
    sim.wait(299)
    assert sim.look() == ("SHUTOFF", "stopped", None)
    assert sim.ledger().writes[0].came == "pending"
    sim.wait(1)
    assert sim.look()[0] == "REBUILD"
    (write,) = sim.ledger().writes
    assert (write.came, write.delivered, write.at, write.sent_at) == ("accepted", "late", sim.now, sim.now - 300)


def test_a_late_effect_that_meets_a_running_server_is_refused() -> None:
    sim = stopped(faults=[{"on": "changeos", "do": "late", "seconds": [300, 300], "nth": [1]}])
    sim.send_change()
    sim.wait(10)
    assert sim.change()[0] == 200
    assert [(w.seq, o.seq) for w, o in judge.changes_sent_too_early(sim.ledger(), 600)] == [(2, 1)]
    assert judge.changes_sent_too_early(sim.ledger(), 5) == []
    sim.wait(290)
    assert [(w.came, w.code) for w in sim.ledger().writes] == [("refused", "Ecs.0100"), ("accepted", None)]
    assert judge.successful_disks_destroyed(sim.ledger()) == []


@pytest.mark.parametrize(("lax", "wiped"), [(False, 0), (True, 1)])
def test_a_double_delivery_is_refused_unless_the_world_is_lax(lax: bool, wiped: int) -> None:
    sim = stopped(lax=lax, faults=[{"on": "changeos", "do": "double", "seconds": [200, 200]}])
    assert sim.change()[0] == 200
    sim.wait(1000)
    first, copy = sim.ledger().writes
    assert (copy.copy_of, copy.delivered, copy.came) == (first.seq, "double", "accepted" if lax else "refused")
    assert len(judge.successful_disks_destroyed(sim.ledger())) == wiped
    assert judge.changes_sent_too_early(sim.ledger(), 600) == []


def test_a_stale_read_shows_the_past_on_detail_and_list() -> None:
    sim = stopped(faults=[{"on": ["detail", "list"], "do": "stale", "seconds": [30, 30]}])
    sim.change()
    sim.wait(29)
    assert sim.look()[0] == "SHUTOFF"
    sim.wait(1)
    assert sim.look()[0] == "REBUILD"
    sim.wait(80)
    listed = sim.call("GET", "/v1/{p}/cloudservers/detail")[1]["servers"][0]
    assert listed["status"] == sim.look()[0] == "REBUILD"
    sim.wait(30)
    assert sim.look()[0] == "ACTIVE"


def test_latency_delays_the_answer() -> None:
    sim = stopped(faults=[{"on": "detail", "do": "latency", "seconds": [2, 3]}])
    assert all(2 <= sim.send("GET", f"/v1/{{p}}/cloudservers/{sim.id()}").delay_s <= 3 for _ in range(10))


@pytest.mark.parametrize(
    ("stated", "text"), [(True, "policy user over ratelimit,limit:2,time:5 minute"), (False, "has been reached")]
)
def test_a_throttled_request_says_so(stated: bool, text: str) -> None:
    rule = {"on": "detail", "do": "throttle", "requests": 2, "per_s": 300, "stated": stated, "retry_after_s": 7}
    sim = stopped(faults=[rule])
    passed, _, refused = endings(sim, 3)
    assert isinstance(passed, SimResponse)
    assert isinstance(refused, SimResponse)
    assert (passed.status, refused.status) == (200, 429)
    assert b"APIGW.0308" in refused.body
    assert text in refused.body.decode()
    assert dict(refused.headers)["Retry-After"] == "7"


def test_flow_control_with_http_202_has_no_job_id() -> None:
    sim = stopped(faults=[{"on": "changeos", "do": "refuse", "code": "Common.0024"}])
    status, answer = sim.change()
    assert (status, answer["error"]["code"], "job_id" in answer) == (202, "Common.0024", False)
    sim.wait(100)
    assert sim.look()[0] == "SHUTOFF"


@pytest.mark.parametrize("how", ["html", "truncated", "oversized", "empty", "garbage", "no-job-id"])
def test_answers_that_cannot_be_read_come_after_the_effect(how: str) -> None:
    sim = stopped(faults=[{"on": "changeos", "do": "garble", "body": how}])
    ending = sim.send_change().ending
    assert isinstance(ending, SimResponse)
    assert ending.status == 200
    assert b"job_id" not in ending.body or how in ("truncated", "garbage")
    assert (len(ending.body) > 2**25) is (how == "oversized")
    sim.wait(100)
    assert sim.look()[0] == "ACTIVE"


@pytest.mark.parametrize("form", ["ecs", "gateway", "job", "nova", "nested", "html", "plain", "empty"])
def test_every_shape_of_an_error_body(form: str) -> None:
    sim = stopped(faults=[{"on": "detail", "do": "refuse", "code": "Ecs.1000", "form": form}])
    (ending,) = endings(sim, 1)
    assert isinstance(ending, SimResponse)
    assert ending.status == 400
    assert (b"Ecs.1000" in ending.body) is (form in ("ecs", "gateway", "job", "nested"))
    assert (b"badRequest" in ending.body) is (form in ("nova", "nested"))


def test_expired_and_foreign_tokens_are_refused() -> None:
    sim = stopped(tokens={"lifetime_s": 4})
    assert sim.change()[0] == 200
    sim.wait(4)
    status, answer = sim.call("GET", "/v2/cloudimages")
    assert (status, answer["error_code"]) == (401, "APIGW.0307")
    status, answer = sim.change()
    assert (status, answer["error_code"]) == (401, "APIGW.0307")
    assert sim.ledger().writes[-1].code == "APIGW.0307"
    sim.token = sim.login()
    assert sim.call("GET", "/v2/cloudimages")[0] == 200
    for bad in ("", "sim.1.99999999999999.proof", "sim", sim.token.replace("sim.", "sim.7")):
        sim.token = bad
        assert sim.call("GET", "/v2/cloudimages")[0] == 401


def test_refusal_of_an_unknown_code_is_a_400() -> None:
    assert (refusal("Ecs.9999").status, refusal("Ecs.9999").form) == (400, "ecs")


def test_a_body_over_the_limit_is_refused_unread() -> None:
    sim = stopped()
    status, answer = sim.call("POST", "/v1/{p}/cloudservers/action", b"x" * 300_000)
    assert (status, answer["error_code"]) == (413, "APIGW.0201")


def test_the_same_seed_and_requests_give_the_same_bytes() -> None:
    rules = [
        {"on": "any", "do": "refuse", "rate": 0.1},
        {"on": "changeos", "do": "fail", "rate": 0.5, "picture": ["old-disk", "error", "new-disk"]},
        {"on": "write", "do": "double", "rate": 0.3, "seconds": [1, 50]},
        {"on": "read", "do": "stale", "rate": 0.3, "seconds": [0, 30]},
    ]

    def trace(seed: int) -> list[object]:
        sim = SimHarness(seed=seed, servers=[{"count": 5, "state": {"running": 1, "stopped": 1}}], faults=rules)
        sim.token = sim.token or sim.login() or sim.login()
        seen: list[object] = []
        for turn in range(40):
            name = f"web-00{turn % 5 + 1}"
            seen += [sim.send_change(name), sim.send("GET", f"/v1/{{p}}/cloudservers/{sim.id(name)}")]
            seen.append(sim.send("GET", "/v1/{p}/cloudservers/detail", limit="3"))
            sim.wait(7.5)
        return [*seen, sim.cloud.world.ledger.as_dict(sim.now)]

    assert trace(5) == trace(5)
    assert trace(5) != trace(6)


def test_the_moments_of_looking_do_not_change_what_happens() -> None:
    def world(step: float) -> object:
        sim = SimHarness(servers=[{"count": 4, "state": "stopped"}], durations={"change": [10, 90]}, faults=[
            {"on": "changeos", "do": "fail", "rate": 0.5, "picture": ["old-disk", "error"]}])  # fmt: skip
        cloud: SimulatedCloud = sim.cloud
        for number in range(1, 5):
            sim.change(f"web-00{number}")
        while sim.now < cloud.world.born_at + 200:
            sim.wait(step)
        return cloud.world.ledger.as_dict(0)

    assert world(200) == world(1)
