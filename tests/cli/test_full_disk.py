"""A disk that is full while a run is driven: nothing is sent that could not be written down first."""

import resource

from tests.cli.runner import SharedCloudRunner
from tests.support.ledger import changes_sent_too_early


def test_a_full_disk_stops_the_run_before_its_next_effect(runner: SharedCloudRunner) -> None:
    names = runner.take(6)
    began = runner.begin("apply", runner.write_plan(names, concurrency=1), "--yes")
    began.until("target.changing")
    # From now on the files of this one process cannot grow, which it learns as it would of a full disk.
    files = [runner.database, runner.database.with_name("fleetos.db-wal")]
    largest = max(file.stat().st_size for file in files)
    _, hard = resource.prlimit(began.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(began.process.pid, resource.RLIMIT_FSIZE, (largest, hard))
    done = began.end()
    assert done.returncode == 20, done.stderr
    assert f"the database {runner.database} cannot be written" in done.stderr
    assert f"1 server may be powered off because of run {began.run_id}" in done.stderr
    assert f"fleetos resume {began.run_id}" in done.stderr
    assert "Traceback" not in done.stderr
    # Whatever the cloud was sent is on record, and most of the fleet was spared.
    sent = [write for write in runner.writes(names) if write.operation == "changeos"]
    assert 1 <= len(sent) < len(names)
    status = runner.status()
    recorded = {one["server_id"] for one in status["targets"] if one["attempts"]}
    assert {write.servers[0] for write in sent} <= recorded
    assert (status["run"]["state"], status["run"]["driver"]) == ("running", None)
    resumed = runner.fleetos("resume")
    assert resumed.returncode == 0, resumed.stderr
    assert runner.changes(names) == dict.fromkeys(names, 1)
    ours = {runner.servers()[name]["id"] for name in names}
    early = changes_sent_too_early(runner.ledger(), settle_s=1.0)
    assert not [write for write, _ in early if write.servers[0] in ours]
    assert runner.invoke("db", "check").returncode == 0
