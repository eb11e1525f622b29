"""Retries and aborts, as the ledger of the cloud sees them."""

import pytest

from fleetos.app import control
from fleetos.app.freeze import NO_RUN, create_run
from fleetos.app.lookup import find_run
from fleetos.app.requests import Asked
from fleetos.app.results import DriveResult
from fleetos.errors import UsageError
from fleetos.model.journal.events import RunPassStarted
from fleetos.model.progress import Progress
from fleetos.model.states import Command, RunState, TargetState
from fleetos.planning.agreement import NotConfirmed
from fleetos.store import queries
from fleetos.store.database.database import Database
from fleetos.store.journal import SqlJournal
from tests.unit.app.conftest import Case, ScriptedOperator

ASKED = Asked("anna", "it is not needed")


async def not_driven(case: Case, database: Database, names: list[str], *, held: bool = False) -> str:
    """Return the id of a run that no process drives, or whose lease this process keeps."""
    plan = case.plan(names)
    async with case.context.open_cloud(None, plan.region, plan.api, NO_RUN) as cloud:
        lease = await create_run(case.context, database, plan, None, cloud, ScriptedOperator())
    assert lease is not None
    if not held:
        await SqlJournal(database, lease, case.context.clock).release()
    return lease.run_id


async def test_a_resume_drives_a_run_that_no_process_drives(case: Case) -> None:
    names = case.take(1)
    async with case.context.sound_database(make=True) as database:
        run_id = await not_driven(case, database, names)
        assert case.writes(names) == []
        with pytest.raises(UsageError):
            await control.retry(case.context, database, run_id, ScriptedOperator(), ASKED)
        result = await control.resume(case.context, database, run_id, ScriptedOperator())
    assert result.progress.run.state is RunState.DONE
    assert case.changes(names) == {names[0]: 1}
    case.check_safety()


@pytest.mark.slow
async def test_a_retry_changes_what_failed_and_nothing_else(case: Case) -> None:
    good, broken = names = case.take(2)
    case.faults({"on": "changeos", "do": "fail", "servers": [broken], "code": "Ecs.0202", "picture": ["old-disk"]})
    async with case.context.sound_database(make=True) as database:
        first = await control.apply(case.context, database, case.plan(names), None, ScriptedOperator(), new_run=False)
        assert isinstance(first, DriveResult)
        run_id = first.progress.run.id
        assert first.progress.counts[TargetState.DONE] == 1
        case.cloud.post("/admin/heal", {})
        refusing = ScriptedOperator(agrees=False)
        with pytest.raises(NotConfirmed):
            await control.retry(case.context, database, run_id, refusing, ASKED)
        assert refusing.asked == [(Command.RETRY, 1)]
        assert case.changes(names) == {good: 1, broken: 1}
        second = await control.retry(case.context, database, run_id, ScriptedOperator(), ASKED)
        assert isinstance(second, DriveResult)
        records = await queries.events(database, run_id)
        assert second.progress.counts[TargetState.DONE] == 2
        third = await control.retry(case.context, database, run_id, ScriptedOperator(), ASKED)
    assert isinstance(third, Progress)
    (begins,) = [record.event for record in records if isinstance(record.event, RunPassStarted)]
    assert begins == RunPassStarted(2, ASKED.by, ASKED.reason)
    assert case.said[-1] == f"nothing to retry: no target of run {run_id} failed or is held"
    assert case.changes(names) == {good: 1, broken: 2}
    case.check_safety()


async def test_an_abort_ends_a_run_that_no_process_drives_and_wipes_nothing(case: Case) -> None:
    names = case.take(2)
    async with case.context.sound_database(make=True) as database:
        run_id = await not_driven(case, database, names)
        found = await find_run(case.context, database, run_id, None)
        with pytest.raises(NotConfirmed):
            await control.abort(case.context, database, found, ScriptedOperator(agrees=False), ASKED, release=False)
        ended = await control.abort(case.context, database, found, ScriptedOperator(), ASKED, release=True)
        assert ended.drive is not None
        assert ended.progress.run.state is RunState.ABORTED
        assert ended.progress.counts[TargetState.CANCELLED] == 2
        assert ended.release is not None
        assert (ended.release.released, ended.release.kept) == ([], [])
        found = await find_run(case.context, database, run_id, None)
        again = await control.abort(case.context, database, found, ScriptedOperator(), ASKED, release=False)
    assert (again.drive, again.driver, again.release) == (None, None, None)
    assert case.writes(names) == []


async def test_an_abort_asks_the_process_that_drives_the_run(case: Case) -> None:
    names = case.take(1)
    async with case.context.sound_database(make=True) as database:
        run_id = await not_driven(case, database, names, held=True)
        found = await find_run(case.context, database, run_id, None)
        asked = await control.abort(case.context, database, found, ScriptedOperator(), ASKED, release=True)
    assert asked.driver is not None
    assert asked.driver.present is not None
    assert (asked.drive, asked.release) == (None, None)
    assert asked.progress.run.state is RunState.RUNNING
    assert case.writes(names) == []
