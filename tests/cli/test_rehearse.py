"""`fleetos rehearse`, with the real command: what it says, what it leaves alone, and whether it comes true."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from tests.cli.conftest import SCENARIO
from tests.cli.runner import PACE, SharedCloudRunner
from tests.support.commands import Done, running_cloud

WAVES = """  waves: [2, 100%]
  between_waves: {bake: 10m, approval: {by: other}}
  max_unavailable: [{per: az, value: 2}]"""
CASE_KEYS = {
    "name",
    "concurrency",
    "failure_rate",
    "approve_after_s",
    "end",
    "misses_deadline",
    "stops",
    "failed",
    "waves",
    "windows",
    "groups",
    "reads",
    "writes",
    "never_fit",
}


def write_plan(
    runner: SharedCloudRunner, names: list[str], *, rollout: str = WAVES, failure: str = "", pace: str = ""
) -> str:
    path = Path(runner.write_plan(names, concurrency=4, attempts=2, rollout=rollout, pace=pace))
    text = path.read_text(encoding="utf-8").replace("failure: {", f"failure: {{{failure}")
    path.write_text(text, "utf-8")
    return str(path)


def rehearse(runner: SharedCloudRunner, *arguments: str, seeds: int = 4) -> Done:
    return runner.invoke("rehearse", *arguments, "--seeds", str(seeds))


def document(runner: SharedCloudRunner, *arguments: str, seeds: int = 4) -> Mapping[str, Any]:
    done = rehearse(runner, *arguments, "-o", "json", seeds=seeds)
    assert done.returncode == 0, done.stderr
    return cast("Mapping[str, Any]", json.loads(done.stdout))


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_it_says_when_each_wave_ends_and_nothing_is_sent_or_written(runner: SharedCloudRunner) -> None:
    names = runner.take(6)
    rehearsal = document(runner, write_plan(runner, names, failure="max_failed: 1, "))
    assert rehearsal["v"] == 1
    assert (rehearsal["servers"], rehearsal["seeds"], rehearsal["deadline"]) == (6, 4, None)
    assert rehearsal["durations"] == {"source": "documented", "remembered": 0}
    (case,) = rehearsal["cases"]
    assert set(case) == CASE_KEYS
    first, second = case["waves"]
    assert (first["members"], second["members"]) == (2, 4)
    assert time_of(second["end"]["p50"]) - time_of(first["end"]["p95"]) > timedelta(minutes=10)
    assert case["end"]["p50"] <= case["end"]["p95"]
    (zone,) = case["groups"]
    assert (zone["per"], zone["most_out"], zone["limit"]) == ("az", 2, 2)
    assert runner.writes(names) == []
    assert not runner.database.exists()


def test_the_table_names_waves_groups_and_calls(runner: SharedCloudRunner) -> None:
    done = rehearse(runner, write_plan(runner, runner.take(6)), "--what-if", "concurrency=1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split("  ")[0] == "WAVE"
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "all"]
    assert "GROUP" in done.stdout
    assert "concurrency=1" in done.stdout
    assert "Rehearsed 4 times for 6 servers; nothing was touched." in lines
    assert done.stderr == ""
    table = lines[: lines.index("Rehearsed 4 times for 6 servers; nothing was touched.")]
    assert max(map(len, table)) <= 80


def test_a_deadline_that_is_missed_leaves_with_10(runner: SharedCloudRunner) -> None:
    text = write_plan(runner, runner.take(4))
    soon = f"{datetime.now(UTC) + timedelta(minutes=10):%Y-%m-%dT%H:%MZ}"
    missed = rehearse(runner, text, "--deadline", soon)
    assert missed.returncode == 10, missed.stderr
    assert "is missed (P95)" in missed.stdout
    later = f"{datetime.now(UTC) + timedelta(days=20):%Y-%m-%dT%H:%MZ}"
    met = rehearse(runner, text, "--deadline", later)
    assert met.returncode == 0, met.stderr
    assert "is met (P95)" in met.stdout


def test_what_if_plays_the_same_seeds_otherwise(runner: SharedCloudRunner) -> None:
    text = write_plan(runner, runner.take(6), failure="max_failed: 1, ")
    what_ifs = ("concurrency=1", "approve-after=3h", "failure-rate=100%")
    options = [option for what_if in what_ifs for option in ("--what-if", what_if)]
    planned, slow, late, broken = document(runner, text, "--failure-rate", "0%", *options)["cases"]
    assert [case["name"] for case in (planned, slow, late, broken)] == ["as planned", *what_ifs]
    ends = [time_of(case["end"]["p50"]) for case in (planned, slow, late)]
    assert ends[1] > ends[0]
    assert ends[2] - ends[0] > timedelta(hours=2, minutes=30)
    assert planned["stops"]["budget"] == 0
    assert broken["stops"]["budget"] == 4
    assert broken["end"] == {"p50": None, "p95": None}


def test_a_later_start_is_where_the_plays_begin(runner: SharedCloudRunner) -> None:
    at = (datetime.now(UTC) + timedelta(hours=5)).replace(microsecond=0)
    rehearsal = document(runner, write_plan(runner, runner.take(2), rollout=""), "--at", at.isoformat())
    assert time_of(rehearsal["not_before"]) == at
    assert at < time_of(rehearsal["cases"][0]["end"]["p50"]) < at + timedelta(hours=1)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--what-if", "weather=bad"), 64, "--what-if 'weather=bad' is not understood"),
        (("--what-if", "concurrency=0"), 64, "is not understood"),
        (("--failure-rate", "5"), 64, "'5' is no failure rate"),
        (("--failure-rate", "101%"), 64, "'101%' is no failure rate"),
        (("--approve-after", "soon"), 64, "'soon' is no time until an approval"),
        (("--deadline", "2020-01-01"), 64, "--deadline"),
        (("--seeds", "0"), 64, "seeds"),
    ],
)
def test_a_wrong_option_is_refused(runner: SharedCloudRunner, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = runner.fleetos("rehearse", runner.write_plan(["web-001"]), *arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr


def test_a_plan_that_does_not_resolve_is_refused_as_plan_refuses_it(runner: SharedCloudRunner) -> None:
    text = runner.write_plan(["no-such-server"])
    planned, rehearsed = runner.invoke("plan", text), rehearse(runner, text)
    assert planned.returncode == rehearsed.returncode == 65
    assert rehearsed.stderr == planned.stderr


@pytest.mark.proof
def test_what_is_rehearsed_comes_true(tmp_path: Path) -> None:
    """The cloud takes two seconds for each change, and half a second for each stop: a first run learns that."""
    names = [f"web-{number:03d}" for number in range(1, 15)]
    steady = {"stop": [0.5, 0.5], "start": [0.5, 0.5], "change": [2, 2], "job_init": [0, 0.05]}
    scenario = {**SCENARIO, "servers": [{"count": len(names), "name": "web-###"}], "durations": steady}
    for folder in ("cloud", "play"):
        (tmp_path / folder).mkdir()
    with (
        running_cloud(tmp_path / "cloud", scenario) as cloud,
        SharedCloudRunner.at(cloud, tmp_path / "play", iter(names)) as runner,
    ):
        assert runner.fleetos("apply", runner.write_plan(names[:2], "first.yaml"), "--yes").returncode == 0
        text = write_plan(runner, names[2:], rollout="  waves: [2, 100%]\n  between_waves: {bake: 2s}", pace=PACE)
        rehearsal = document(runner, text, "--failure-rate", "0%", seeds=5)
        assert rehearsal["durations"] == {"source": "remembered", "remembered": 2}
        begin, end = time_of(rehearsal["begin"]), rehearsal["cases"][0]["end"]
        earliest, latest = ((time_of(end[share]) - begin).total_seconds() for share in ("p50", "p95"))
        assert runner.fleetos("apply", text, "--yes").returncode == 0
        run = runner.status()["run"]
        took = (time_of(run["ended_at"]) - time_of(run["created_at"])).total_seconds()
        # Two rounds in wave 1 and three in wave 2, a bake, and whatever the commits of a busy machine add.
        assert earliest * 0.8 < took < latest * 4
