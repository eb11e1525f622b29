"""A plan becomes a run only if what it wipes is agreed to."""

import pytest

from fleetos.app import control
from fleetos.app.freeze import NO_RUN, NOTHING_TOUCHED, NotRepeated, create_run, preview_run
from fleetos.app.results import DriveResult, FinishedRun
from fleetos.model.states import Command
from fleetos.planning.agreement import Agreement, NotConfirmed
from fleetos.planning.frozen_plan import make_frozen_plan
from fleetos.store import queries
from tests.unit.app.conftest import Case, ScriptedOperator


async def test_a_preview_makes_no_run_and_no_database(case: Case) -> None:
    names = case.take(2)
    plan = case.plan(names)
    async with (
        case.context.existing_database(before_apply=True) as database,
        case.context.open_cloud(None, plan.region, plan.api, NOTHING_TOUCHED) as cloud,
    ):
        frozen, preview = await preview_run(case.context, database, plan, None, cloud)
    assert database is None
    assert frozen.wipes == len(preview.targets) == 2
    assert case.writes(names) == []
    assert not (case.folder / "fleetos.db").exists()


@pytest.mark.parametrize(
    "operator",
    [ScriptedOperator(agrees=False), ScriptedOperator(agreement=Agreement(3))],
    ids=["answer", "number"],
)
async def test_without_agreement_there_is_no_run(case: Case, operator: ScriptedOperator) -> None:
    names = case.take(2)
    plan = case.plan(names)
    async with (
        case.context.sound_database(make=True) as database,
        case.context.open_cloud(None, plan.region, plan.api, NO_RUN) as cloud,
    ):
        with pytest.raises(NotConfirmed):
            await create_run(case.context, database, plan, None, cloud, operator)
        assert not await queries.has_runs(database)
    assert operator.shown == [(Command.APPLY, 2)]
    assert [frozen.wipes for frozen in operator.surveyed] == [2]
    assert case.writes(names) == []


@pytest.mark.slow
async def test_an_ended_run_is_checked_and_not_repeated(case: Case) -> None:
    names = case.take(1)
    plan = case.plan(names)
    async with case.context.sound_database(make=True) as database:
        first = await control.apply(case.context, database, plan, None, ScriptedOperator(), new_run=False)
        assert isinstance(first, DriveResult)
        asked = ScriptedOperator()
        again = await control.apply(case.context, database, plan, None, asked, new_run=False)
        assert isinstance(again, FinishedRun)
        assert (again.progress.run.id, again.off_image) == (first.progress.run.id, 0)
        assert asked.asked == []
        async with case.context.open_cloud(None, plan.region, plan.api, NO_RUN) as cloud:
            frozen, _ = await preview_run(case.context, database, plan, None, cloud)
        frozen_before = ScriptedOperator(agreement=Agreement(plan=make_frozen_plan(plan, frozen)))
        with pytest.raises(NotRepeated):
            await control.apply(case.context, database, plan, None, frozen_before, new_run=False)
    assert case.changes(names) == {names[0]: 1}
    case.check_safety()
