"""The command that proves worlds: what it says, how it leaves, and that what it finds can be seen again."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path

import pytest

from fleetos.model.plan import Polling
from fleetos.sim.scenario.faults import StaleReadFault
from fleetos.sim.scenario.scenario import PhaseDurations, Scenario, ServerGroup
from tests.simulation import workers
from tests.simulation.__main__ import CLEAN, INTERRUPTED, NOT_CLEAN, USAGE, main
from tests.simulation.checkers import CHECKERS
from tests.simulation.proof import DETERMINISM, Found, Orders, Result, deaths_from, is_played_twice, points_to_die_at
from tests.simulation.run_trace import RunTrace, Violation
from tests.simulation.scenario_run import run_scenario
from tests.simulation.seeds import Seeds
from tests.simulation.situations import WORLDS_AT_LEAST, WORLDS_FOR_THE_COMMON
from tests.simulation.situations_required import REQUIRED
from tests.simulation.spec import Operator, Spec
from tests.simulation.spec_file import from_json, to_json
from tests.simulation.summary import Totals, as_json, as_lines, command
from tests.simulation.workers import CRASHED, HANGS, proved
from tests.simulation.worlds import SMALL_EVERY, world

ROOT = Path(__file__).parents[2]
# Seeds of the tiny worlds below: that at whose every point its process dies, and others.
EVERYWHERE, ONE, ANOTHER, THIRD = 10, 1, 2, 3
_PATIENCE_S = 300.0


def simulation(*arguments: str, hash_seed: str = "random") -> "subprocess.CompletedProcess[str]":
    """The finished command, with hashes of its own."""
    line = [sys.executable, "-m", "tests.simulation", *arguments]
    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)


# Worlds and judges that are sent to workers, which know them by name.


def tiny(seed: int) -> Spec:
    """A world of one server that is over within two minutes and a dozen requests, with two deaths or one everywhere."""
    return Spec(
        seed=seed,
        scenario=Scenario(seed=seed, servers=(ServerGroup(),), durations=PhaseDurations(change=(30.0, 40.0))),
        polling=Polling(20.0, 20.0),
        faults=(StaleReadFault(do="stale", on="read", seconds=(0.0, 1.0)),),
        operator=Operator((1.0, 2.0)),
        loopback=True,
        deaths=() if seed == EVERYWHERE else (4, 9),
        calm_at_s=600.0,
        enumerate=seed == EVERYWHERE,
    )


def minds_nothing(trace: RunTrace) -> list[Violation]:
    """A judge that minds nothing."""
    return []


def dislikes_deaths(trace: RunTrace) -> list[Violation]:
    """A judge that finds fault with every play in which a process died."""
    return [Violation("I2", f"{trace.deaths.total()} died")] if trace.deaths else []


def dies_of_the_third_point(trace: RunTrace) -> list[Violation]:
    """A judge that does not survive one of the plays."""
    if trace.spec.deaths[:1] == (3,):
        os._exit(9)
    return []


def hangs_with_two(trace: RunTrace) -> list[Violation]:
    """A judge that never comes to an end with one of the worlds, and waits for something with another."""
    while trace.spec.seed == ONE:
        pass
    if trace.spec.seed == ANOTHER:
        threading.Event().wait()
    return []


def raises(trace: RunTrace) -> list[Violation]:
    """A judge with a defect."""
    raise LookupError("no such server")


@pytest.mark.slow
def test_fixed_seeds_are_proved_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(("--seeds", "3", "--from", "19", "--no-enumerate", "--jobs", "1", "-o", "json"))
    told = json.loads(capsys.readouterr().out)
    assert (code, told["violations"]) == (CLEAN, {}), told
    assert (told["seeds"], told["worlds"], told["plays"]) == (["19 to 21"], 3, 3)
    assert told["requests"] > 20
    assert told["virtual_hours"] > 0


@pytest.mark.slow
def test_the_same_seed_takes_the_same_course_in_every_process() -> None:
    here: list[list[str]] = [[], []]
    run_scenario = ("--seed", "20", "--die", "6,14")
    for lines in here:
        assert replayed(lines, *run_scenario) == CLEAN, "\n".join(lines)
    assert here[0] == here[1]
    assert any("dies at point" in line for line in here[0])
    # Whatever the hash seed of this process, it is not both of these.
    other = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    assert simulation(*run_scenario, hash_seed=other).stdout == "\n".join(here[0]) + "\n"


def replayed(lines: list[str], *arguments: str, world: Callable[[int], Spec] = world) -> int:
    """The exit code of the command in this process, with the lines that it prints."""
    with contextlib.redirect_stdout(Lines(lines)):
        return main(arguments, world=world)


class Lines:
    """Takes what is printed, line by line."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._open = ""

    def write(self, text: str) -> int:
        *whole, self._open = (self._open + text).split("\n")
        self._lines += whole
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""


def test_deaths_can_be_chosen() -> None:
    lines: list[str] = []
    replayed(lines, "--seed", str(ONE), "--die", "7,3,9999", world=tiny)
    assert [line for line in lines if "dies at point 3" in line]
    assert [line for line in lines if "dies at point 7" in line]
    assert [line for line in lines if "nobody could die at 9999" in line]
    lines.clear()
    replayed(lines, "--seed", str(ONE), "--die", "none", world=tiny)
    assert not [line for line in lines if "dies at" in line]
    assert [line for line in lines if "deaths: none" in line]


@pytest.mark.slow
def test_what_breaks_is_told_shrunk_and_played_again(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--seeds", "2", "--from", str(EVERYWHERE), "--jobs", "1", "--shrink", "6", "-o", "json")
    assert main(asked, dislikes_deaths, tiny) == NOT_CLEAN
    told = json.loads(capsys.readouterr().out)
    assert not told["clean"]
    assert told["worlds"] == 2
    # One of the two is played without a death and with one at every point, in every second play with two or three; the
    # other once with two.
    everywhere = told["plays"] - 2
    assert everywhere > 20
    assert everywhere * 1.5 < told["crash_points"]["total"] - 2 <= everywhere * 1.75
    assert min(told["crash_points"].values()) > 3
    assert told["violations"]["I2"]["plays"] == everywhere + 1
    first, second, *_ = told["violations"]["I2"]["first"]
    die = [deaths_from(EVERYWHERE, point) for point in (1, 2)]
    assert sorted(map(len, die)) == [1, 2]
    assert first["command"] == f"python -m tests.simulation --seed {EVERYWHERE} --die {','.join(map(str, die[0]))}"
    assert second["die"] == list(die[1])
    [shrunk] = told["shrunk"]
    assert shrunk["parts"] < shrunk["parts_before"]
    spec = Path(shrunk["spec"])
    try:
        assert len(from_json(spec.read_bytes()).deaths) == 1
        assert main(("--spec", str(spec)), dislikes_deaths) == NOT_CLEAN
        assert "I2 is broken: 1 died\nNOT clean\n" in capsys.readouterr().out
        assert main(("--spec", str(spec), "--die", "none", "-o", "json"), dislikes_deaths) == CLEAN
        assert json.loads(capsys.readouterr().out)["clean"]
    finally:
        spec.unlink()
        spec.parent.rmdir()


def test_a_play_that_raises_is_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("--seed", str(ONE)), raises, tiny) == NOT_CLEAN
    assert "error LookupError is broken: Traceback" in capsys.readouterr().out


@pytest.mark.proof
def test_a_worker_that_hangs_is_a_finding_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of the processor's time, or twelve seconds by the clock: a loaded machine plays the third in less.
    monkeypatch.setattr(workers, "PLAY_MAX_S", 1.5)
    monkeypatch.setattr(workers, "_PATIENCE", 8.0)
    results = list(proved(iter((ONE, ANOTHER, THIRD)), Orders(hangs_with_two, tiny), 1))
    assert {result.seed: dict(result.broken) for result in results} == {ONE: {HANGS: 1}, ANOTHER: {HANGS: 1}, THIRD: {}}
    assert sum(result.worlds for result in results) == 3


@pytest.mark.slow
def test_a_worker_that_dies_is_a_finding_and_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_POINTS_AT_ONCE", 8)
    first, lost, *others = proved(iter((EVERYWHERE,)), Orders(dies_of_the_third_point, tiny), 1)
    assert (first.plays, first.worlds) == (1, 1)
    assert [(one.invariant, one.die) for one in lost.found] == [(CRASHED, deaths_from(EVERYWHERE, 3))]
    # The first two of eight died with it.
    assert sum(result.plays for result in (lost, *others)) == len(first.points) - 3
    assert not [result for result in others if result.broken or result.worlds]


@pytest.mark.slow
def test_a_reader_that_leaves_is_left_in_peace() -> None:
    line = f"{sys.executable} -m tests.simulation --seed 3 | head -n 2"
    done = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    assert len(done.stdout.splitlines()) == 2
    assert not done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_with_the_summary_so_far() -> None:
    line = [sys.executable, "-m", "tests.simulation", "--seeds", "100000", "-o", "json"]
    with subprocess.Popen(
        line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("fresh seeds begin at ")
        # A terminal tells the whole group, workers included.
        os.killpg(process.pid, signal.SIGINT)
        out, errors = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == INTERRUPTED, errors
    assert json.loads(out)["ended"] == "interrupted"
    assert not errors


def test_help_has_examples_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    told = capsys.readouterr().out
    assert left.value.code == CLEAN
    assert "examples:" in told
    assert "exit codes:" in told


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ((), "one of the arguments"),
        (("--seeds", "0"), "less than 1"),
        (("--seeds", "5", "--seed", "1"), "not allowed with"),
        (("--seed", "1", "--from", "3"), "--from goes with --seeds"),
        (("--seeds", "5", "--die", "3"), "--die goes with"),
        (("--seed", "1", "--die", "a"), "invalid"),
        (("--seeds", "5", "--only", "I2,I99"), "I99: choose from I1"),
        (("--seeds", "5", "--jobs", "1000"), "more than"),
        (("--budget", "nan"), "no number of seconds"),
        (("--spec", "no-such-file.json"), "no-such-file.json"),
        (("--spec", "pyproject.toml"), "Invalid JSON"),
    ],
)
def test_what_is_not_understood(arguments: tuple[str, ...], wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == USAGE
    assert wrong in capsys.readouterr().err


def test_only_the_invariants_asked_for_are_judged() -> None:
    assert main(("--seed", str(ONE), "--only", "I2,I5", "-o", "json"), world=tiny) == CLEAN
    assert Orders(only=frozenset({"I2"})).judged is not Orders().judged
    assert Orders(minds_nothing, only=frozenset({"I2"})).judged is minds_nothing
    assert {f"I{number}" for number in range(1, len(CHECKERS) + 1)} == set(CHECKERS)


def test_many_worlds_must_reach_every_situation() -> None:
    few = Totals(worlds=WORLDS_FOR_THE_COMMON - 1)
    many = Totals(worlds=WORLDS_AT_LEAST)
    assert (few.clean, many.clean) == (True, False)
    assert f"NOT clean: {len(REQUIRED)} situations missing" in list(as_lines(many))
    assert as_json(many)["missing"] == list(REQUIRED)
    many.situations.update(dict.fromkeys(REQUIRED, 100_000))
    rare = min(REQUIRED, key=lambda name: REQUIRED[name])
    many.situations[rare] = 0
    assert [line for line in as_lines(many) if line.startswith(f"  {rare} ") and "MISSING" in line]
    assert many.missing == [rare]
    many.situations[rare] = 100_000
    assert many.clean
    assert list(as_lines(many))[-1] == "clean"


def test_the_summary_names_the_play_that_broke_something() -> None:
    totals = Totals()
    result = Result(7, plays=3)
    result.blame([Violation("I2", "disk 1\nwas destroyed"), Violation("I2", "and disk 2")], (4, 9))
    result.blame([Violation(DETERMINISM, "another course")], None)
    totals.add(result)
    lines = list(as_lines(totals))
    at = lines.index("I2 is broken in 1 play")
    assert lines[at + 1 : at + 4] == [
        "  python -m tests.simulation --seed 7 --die 4,9",
        "      disk 1",
        "      was destroyed",
    ]
    assert lines[-1] == "NOT clean: I2, determinism broken"
    assert command(Found("I2", "", 7)) == "python -m tests.simulation --seed 7"
    assert command(Found("I2", "", 7, ())) == "python -m tests.simulation --seed 7 --die none"


def test_a_budget_is_spent_on_fixed_seeds_first() -> None:
    seeds = Seeds(1000, budget_s=100.0, fixed=True)
    taken = iter(seeds)
    assert [next(taken) for _ in range(3)] == [1, 2, 3]
    seeds.began_s -= 21
    assert [next(taken), next(taken)] == [1000, 1001]
    seeds.began_s -= 80
    assert next(taken, None) is None
    assert seeds.told() == ["1 to 3", "1000 to 1001"]
    assert list(Seeds(5, 2, inf)) == [5, 6]


def test_a_world_of_many_requests_dies_at_some_of_its_points() -> None:
    trace = run_scenario(tiny(EVERYWHERE))
    assert points_to_die_at(EVERYWHERE, trace) == range(1, trace.points + 1)
    trace.requests, trace.points = 105, 1000
    found = [points_to_die_at(seed, trace) for seed in range(SMALL_EVERY, 100 * SMALL_EVERY, SMALL_EVERY)]
    assert {len(points) for points in found} == {20}
    # Together they have them all.
    assert {point for points in found for point in points} == set(range(1, 1001))


def test_one_world_in_fifty_is_compared_whatever_its_kind() -> None:
    twice = [seed for seed in range(1, 5001) if is_played_twice(seed)]
    assert len(twice) in range(98, 103)
    assert [seed for seed in twice if seed % SMALL_EVERY == 0]
    assert [seed for seed in twice if seed % 100 == 1]


def test_a_spec_survives_its_file() -> None:
    for seed in worlds():
        assert from_json(to_json(world(seed))) == world(seed)


def worlds() -> Iterator[int]:
    """Seeds of every kind of world."""
    yield from range(1, 61)
    yield 101
