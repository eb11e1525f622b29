"""Runs are found by id, by the name of their plan, by their cloud, or because there is only one."""

import pytest

from fleetos.app.freeze import NO_RUN, create_run
from fleetos.app.lookup import RunChoice, choose_run, driver_of, find_resumable, find_run, find_servers
from fleetos.errors import UnknownRun, UsageError
from fleetos.store import queries
from fleetos.store.journal import SqlJournal
from tests.unit.app.conftest import Case, ScriptedOperator


async def test_runs_and_servers_are_found_as_they_are_named(case: Case) -> None:
    context, names = case.context, case.take(2)
    async with context.sound_database(make=True) as database:
        assert await find_resumable(context, database, None, None) is None
        run_ids: list[str] = []
        for name in names:
            plan = case.plan([name])
            async with context.open_cloud(None, plan.region, plan.api, NO_RUN) as cloud:
                lease = await create_run(context, database, plan, None, cloud, ScriptedOperator())
            assert lease is not None
            run_ids.append(lease.run_id)
            if name == names[0]:
                only = await find_resumable(context, database, None, None)
                assert only is not None
                assert (only.run.id, driver_of(only) is not None) == (lease.run_id, True)
            await SqlJournal(database, lease, context.clock).release()
        with pytest.raises(UsageError, match="2 runs are unfinished"):
            await find_resumable(context, database, None, None)
        found = await find_run(context, database, run_ids[1], None)
        assert (found.run.id, driver_of(found)) == (run_ids[1], None)
        with pytest.raises(UsageError, match="differs from the cloud of run"):
            await find_run(context, database, run_ids[1], "elsewhere")
        assert await choose_run(context, database, RunChoice(run_ids[0], None)) == run_ids[0]
        assert await choose_run(context, database, RunChoice(None, None)) in run_ids
        with pytest.raises(UnknownRun, match="no runs in cloud elsewhere"):
            await choose_run(context, database, RunChoice(None, "elsewhere"))
        progress = await queries.load(database, run_ids[0])
    (server_id,) = progress.targets
    assert find_servers(progress, []) is None
    assert find_servers(progress, [names[0]]) == find_servers(progress, [server_id]) == {server_id}
    with pytest.raises(UsageError, match="has no server 'app-xx'"):
        find_servers(progress, ["app-xx"])
    assert case.writes(names) == []
