from pathlib import Path

import pytest

from fleetos.errors import InputError, Problem
from fleetos.sim.scenario.load import LOST, SIM_SCENARIO_BYTES_MAX, builtin_scenario, load_scenario, parse_scenario
from fleetos.sim.wire.messages import SimResponse
from fleetos.sim.world.world import World
from tests.unit.sim.harness import BORN, SimHarness

GOOD = """
seed: 7
servers:
  - {count: 2, name: "web-##", state: {running: 3, stopped: 1}, az: [eu-de-01, eu-de-02]}
  - name: db
    state: failed
durations: {change: [1, 2]}
faults:
  - {on: changeos, do: fail, rate: 0.2, code: [Ecs.0202, Ecs.0219]}
  - {on: [detail, list], do: stale, seconds: [0, 30]}
"""


def problems(text: str) -> list[Problem]:
    with pytest.raises(InputError) as caught:
        parse_scenario(text, "s.yaml")
    return list(caught.value.problems)


def test_a_scenario_makes_a_world() -> None:
    world = World(parse_scenario(GOOD, "s.yaml"), BORN)
    servers = list(world.servers.values())
    assert [(s.spec.name, s.spec.az) for s in servers[:2]] == [("web-01", "eu-de-01"), ("web-02", "eu-de-02")]
    assert (servers[2].spec.name, servers[2].status) == ("db", "ERROR")


def test_json_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text('{"servers": [{"count": 3}], "lax": true}')
    scenario = load_scenario(path)
    assert (scenario.servers[0].count, scenario.lax) == (3, True)


def test_an_empty_scenario_is_the_default_one() -> None:
    assert parse_scenario("", "s.yaml").servers[0].count == 1


@pytest.mark.parametrize(
    ("text", "line", "column", "key"),
    [
        ("seed: 1\nsevers: []\n", 2, 9, "severs"),
        ("servers:\n  - {count: -1}\n", 2, 13, "servers.0.count"),
        ("servers:\n  - {cuont: 1}\n", 2, 13, "servers.0.cuont"),
        ("faults:\n  - {on: changeos, do: explode}\n", 2, 5, "faults.0"),
        ("faults:\n  - {on: everything, do: refuse}\n", 2, 10, "faults.0.on"),
        ("faults:\n  - {on: stop, do: late}\n", 2, 5, "faults.0.seconds"),
        ("faults:\n  - {on: stop, do: refuse, rate: 2}\n", 2, 34, "faults.0.rate"),
        ("durations: {change: [1]}\n", 1, 21, "durations.change"),
        ("servers:\n  - image: unknown\n", 1, 1, ""),
        ("servers:\n  - key: unknown\n", 1, 1, ""),
        ("servers:\n  - {count: 2, name: a}\n  - {name: a-2}\n", 1, 1, ""),
        ("servers:\n  - {count: 3, address: 255.255.255.254}\n", 1, 1, ""),
        ("servers:\n  - {address: somewhere}\n", 2, 15, "servers.0.address"),
        ("seed: 1\n  bad: [", 2, 6, ""),
        ("seed: 1\nseed: 2\n", 2, 1, "seed"),
    ],
)
def test_a_bad_scenario_says_where(text: str, line: int, column: int, key: str) -> None:
    found = problems(text)
    assert (found[0].file, found[0].line, found[0].column, found[0].key) == ("s.yaml", line, column, key)
    assert found[0].expected


def test_servers_of_a_group_have_addresses_one_after_the_other() -> None:
    text = "flavors: [{id: m1.large.8}]\nservers:\n"
    text += "  - {count: 3, address: 10.0.0.254, flavor: m1.large.8, enterprise_project: ops}\n"
    servers = World(parse_scenario(text, "s.yaml"), BORN).servers.values()
    assert [server.spec.address for server in servers] == ["10.0.0.254", "10.0.0.255", "10.0.1.0"]
    assert {(server.spec.flavor.id, server.spec.enterprise_project) for server in servers} == {("m1.large.8", "ops")}


def test_all_problems_are_told_at_once() -> None:
    assert len(problems("seed: x\nlax: 7\nservers: 3\n")) == 3


def test_aliases_are_refused() -> None:
    (problem,) = problems("key_pairs: &a [x]\nservers: *a\n")
    assert "alias" in problem.expected
    assert problem.line == 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    big = tmp_path / "big.yaml"
    big.write_text("#" * (SIM_SCENARIO_BYTES_MAX + 1))
    odd = tmp_path / "odd.yaml"
    odd.write_bytes(b"\xff\xfe\x00")
    for path in (big, odd, tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(InputError):
            load_scenario(path)


@pytest.mark.parametrize("text", ["[" * 50_000, "3", "[]", "servers: {}", "{a: }}", "\x00"])
def test_odd_texts_are_problems_not_crashes(text: str) -> None:
    assert problems(text)


def test_the_built_in_world() -> None:
    sim = SimHarness(**builtin_scenario().model_dump())
    names = {s.spec.name: s for s in sim.cloud.world.servers.values()}
    assert list(names)[0::199] == ["web-001", "web-200"]
    assert {names[name].status for name in ("web-001", "web-002", *LOST)} == {"ACTIVE"}
    assert 10 <= sum(s.status == "SHUTOFF" for s in names.values()) <= 30
    again = World(builtin_scenario(), BORN + 99)
    assert list(again.servers) == [s.id for s in names.values()]


def test_every_server_of_the_built_in_world_ends_well_at_the_second_try() -> None:
    sim = SimHarness(**builtin_scenario().model_dump())
    for name in [s.spec.name for s in sim.cloud.world.servers.values()]:
        sim.power("os-stop", name)
    sim.wait(2)
    lost = [s.spec.name for s in list(sim.cloud.world.servers.values()) if _lost(sim, s.spec.name)]
    sim.wait(10)
    failed = [s.spec.name for s in sim.cloud.world.servers.values() if s.status != "ACTIVE"]
    assert sorted(lost) == sorted(LOST)
    assert 8 <= len(failed) <= 20
    assert not set(failed) & set(lost)
    assert {s.status for s in sim.cloud.world.servers.values()} == {"ACTIVE", "SHUTOFF", "ERROR"}
    for name in failed:
        assert sim.change(name)[0] == 200
    sim.wait(10)
    assert {s.status for s in sim.cloud.world.servers.values()} == {"ACTIVE"}


def _lost(sim: SimHarness, name: str) -> bool:
    return not isinstance(sim.send_change(name).ending, SimResponse)


def test_another_number_of_servers() -> None:
    scenario = builtin_scenario().with_servers(7)
    assert len(World(scenario, BORN).servers) == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("durations: {stop: 0.3}", "durations.stop: expected a list"),
        ("durations: {stop: [1]}", "durations.stop: expected one value more"),
        ("durations: {stop: [1, 2, 3]}", "durations.stop: expected at most 2 values"),
        ("durations: {stop: [a, 2]}", "durations.stop.0: expected a number"),
        ("seed: x", "seed: expected a whole number"),
        ("servers: [3]", "servers.0: expected a mapping of keys"),
        ("servers: [{state: sleeping}]", "expected one of 'running', 'stopped' or 'failed', or a mapping of keys"),
        ("fautls: []", "fautls: not a key that is known here"),
        ("faults: [{do: fail}]", "faults.0.on: expected a value"),
        ("faults: [{on: changeos, do: nothing}]", "'job-life' for do"),
    ],
)
def test_a_wrong_value_is_explained_in_words_of_the_file(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_scenario(text, "world.yaml")
    (problem,) = caught.value.problems
    assert str(problem).startswith("world.yaml:1:")
    assert words in str(problem)
    assert "Input" not in str(problem)
