"""Surveys only read, and say what is missing."""

import pytest

from fleetos.app.freeze import NOTHING_TOUCHED
from fleetos.app.survey import facts_of, find_drift, scope_of, survey
from fleetos.errors import InputError
from fleetos.model.drift import DriftState
from fleetos.planning.plan_file.digest import run_digest
from tests.unit.app.conftest import Case


async def test_a_survey_resolves_servers_and_images_and_writes_nothing(case: Case) -> None:
    names = case.take(2)
    plan = case.plan(names)
    async with case.context.open_cloud(None, plan.region, plan.api, NOTHING_TOUCHED) as cloud:
        found = await survey(plan, cloud, facts_of(None, cloud))
        with pytest.raises(InputError) as refused:
            await survey(case.plan([*names, "nobody"]), cloud, facts_of(None, cloud))
    assert [one.server.name for one in found.servers] == names
    assert "nobody" in refused.value.problems[0].text
    assert case.writes(names) == []


async def test_drift_is_found_without_a_database(case: Case) -> None:
    names = case.take(1)
    plan = case.plan(names)
    async with case.context.open_cloud(None, plan.region, plan.api, NOTHING_TOUCHED) as cloud:
        scope = scope_of(None, cloud)
        drift = await find_drift(plan, cloud, None, scope, run_digest(plan, scope))
    assert drift.counts == {DriftState.DRIFTED: 1}
    assert case.writes(names) == []
    assert not (case.folder / "fleetos.db").exists()
