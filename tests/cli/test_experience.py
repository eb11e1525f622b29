"""What a run has learned of its cloud is there for the next one, however it was left."""

import signal
import sqlite3
from contextlib import closing

import pytest

from fleetos.model.experience import Experience
from fleetos.model.journal.codec import experience_from_json
from tests.cli.runner import SharedCloudRunner

# A limit that the slowest machine meets with one stop and two changes, and that no later try finds to be higher.
LIMITED = {"on": "write", "do": "throttle", "requests": 2, "per_s": 6}


def remembered(runner: SharedCloudRunner) -> Experience:
    """What the database knows of the one cloud of this play."""
    with closing(sqlite3.connect(runner.database)) as connection:
        ((body,),) = connection.execute("SELECT body FROM clouds").fetchall()
    return experience_from_json(body)


@pytest.mark.slow
def test_an_interrupted_run_has_learned_for_the_next(runner: SharedCloudRunner) -> None:
    names = runner.take(3)
    # The signal comes while the second change is on the wire, however slow the machine.
    runner.faults({"on": "changeos", "do": "latency", "seconds": [5, 5], "servers": names[1:]})
    began = runner.begin("apply", runner.write_plan(names, concurrency=1), "--yes")
    began.until("target.verifying")
    began.process.send_signal(signal.SIGINT)
    assert began.end().returncode == 130
    runner.faults()
    first = remembered(runner)
    (durations,) = first.changes.values()
    assert len(durations) == sum(event["type"] == "target.verifying" for event in began.events)
    # Durations are by the cloud's clock; the longest is what this process has seen, its wait for a look included.
    assert first.longest_change_s >= durations[0] > 0
    assert runner.fleetos("resume").returncode == 0
    (durations,) = remembered(runner).changes.values()
    assert len(durations) == 3
    assert remembered(runner).longest_change_s >= max(durations)


@pytest.mark.slow
def test_what_the_cloud_allows_is_learned_by_its_refusals_and_kept(runner: SharedCloudRunner) -> None:
    runner.faults(LIMITED)
    assert runner.fleetos("apply", runner.write_plan(runner.take(2)), "--yes").returncode == 0
    runner.faults()
    learned = remembered(runner).limits
    told = {kind: limit for kind, limit in learned.items() if limit.told}
    assert told
    assert all(limit.rate_per_s <= 2 / 6 for limit in told.values())
    # A run that meets no limit has learned nothing against what the cloud itself has named.
    assert runner.fleetos("apply", runner.write_plan(runner.take(1), name="next.yaml"), "--yes").returncode == 0
    assert told.keys() <= remembered(runner).limits.keys()
