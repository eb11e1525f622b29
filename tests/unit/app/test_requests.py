"""Requests of an operator, without a terminal: whoever may answer them does, once, and the caller learns the answer."""

import pytest

from fleetos.app import control
from fleetos.app.context import OPERATOR, operator_name
from fleetos.app.lookup import find_run
from fleetos.app.requests import Asked, is_driven, needs_driver
from fleetos.app.results import RequestResult
from fleetos.errors import UsageError
from fleetos.model.journal.requests import RequestKind, RequestOutcome
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.store import queries
from fleetos.store.database.database import Database
from fleetos.store.process import this_process
from tests.unit.app.conftest import Case, ScriptedOperator
from tests.unit.app.test_control import not_driven


async def ask(case: Case, database: Database, run_id: str, kind: RequestKind, asked: Asked) -> RequestResult:
    found = await find_run(case.context, database, run_id, None)
    return await control.request(case.context, database, found, ScriptedOperator(), asked, kind)


@pytest.mark.slow
async def test_a_run_that_no_process_drives_is_paused_held_and_carried_on(case: Case) -> None:
    names = case.take(2)
    async with case.context.sound_database(make=True) as database:
        run_id = await not_driven(case, database, names)
        assert not await is_driven(case.context, database, run_id)
        paused = await ask(case, database, run_id, RequestKind.PAUSE, Asked("anna", "a look"))
        assert paused.answer is not None
        assert (paused.answer.outcome, paused.answer.by, paused.answer.reason) == (
            RequestOutcome.DONE,
            "anna",
            "a look",
        )
        assert (paused.progress.run.state, paused.progress.run.reason) == (RunState.PAUSED, Reason.OPERATOR)
        assert paused.drive is None
        held = await ask(case, database, run_id, RequestKind.HOLD, Asked("anna", "busy", [names[0]]))
        assert held.progress.counts[TargetState.HELD] == 1
        assert await needs_driver(database, run_id, RequestKind.RESUME)
        assert not await needs_driver(database, run_id, RequestKind.SET)
        assert case.writes(names) == []
        resumed = await ask(case, database, run_id, RequestKind.RESUME, Asked("anna", "looked"))
    assert resumed.drive is not None
    assert resumed.progress.counts[TargetState.DONE] == 1
    assert case.changes(names) == {names[0]: 0, names[1]: 1}
    case.check_safety()


async def test_a_driver_that_does_not_answer_in_time_is_named_and_the_request_stays(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleetos.app.requests.ANSWER_WAIT_S", 0.05)
    names = case.take(1)
    async with case.context.sound_database(make=True) as database:
        run_id = await not_driven(case, database, names, held=True)
        assert await is_driven(case.context, database, run_id)
        result = await ask(case, database, run_id, RequestKind.PAUSE, Asked("anna", "a look"))
        assert (result.answer, result.drive) == (None, None)
        assert result.driver is not None
        assert (await queries.load(database, run_id)).run.state is RunState.RUNNING


def test_an_operator_is_named_by_the_option_else_the_variable_else_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPERATOR, "berta")
    assert (operator_name("anna"), operator_name(None)) == ("anna", "berta")
    for wrong in ("a\nb", "b" * 101):
        monkeypatch.setenv(OPERATOR, wrong)
        with pytest.raises(UsageError):
            operator_name(None)
    monkeypatch.setenv(OPERATOR, " ")
    assert operator_name(" anna ") == "anna"
    assert operator_name(None) == this_process().user
    monkeypatch.delenv(OPERATOR)
    assert operator_name(None) == this_process().user
