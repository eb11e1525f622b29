"""A run is driven to its end, or left as a signal asks, with the lease given back."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from fleetos.app import control
from fleetos.app.drive import _orders
from fleetos.app.freeze import NO_RUN, create_run
from fleetos.app.lookup import find_run
from fleetos.app.results import DriveResult
from fleetos.model.plan import SecretRef
from fleetos.model.progress import Progress
from fleetos.model.states import Command, RunState, TargetState
from fleetos.store import queries
from tests.support.builders import a_run, a_target
from tests.unit.app.conftest import Case, ScriptedOperator


async def test_a_new_run_is_driven_to_its_end(case: Case) -> None:
    names = case.take(2)
    operator = ScriptedOperator()
    async with case.context.sound_database(make=True) as database:
        result = await control.apply(case.context, database, case.plan(names), None, operator, new_run=False)
        assert isinstance(result, DriveResult)
        stored = await queries.load(database, result.progress.run.id)
        found = await find_run(case.context, database, result.progress.run.id, None)
    assert (result.driven, result.signal, result.trouble) == (True, None, None)
    assert stored.run.state is RunState.DONE
    assert stored.counts == {TargetState.DONE: 2}
    assert found.driver is None
    assert operator.asked == [(Command.APPLY, 2)]
    assert case.changes(names) == dict.fromkeys(names, 1)
    case.check_safety()


async def test_a_signal_leaves_the_run_and_a_later_resume_ends_it(case: Case) -> None:
    names = case.take(3)

    def interrupt(progress: Progress) -> None:
        if progress.counts.get(TargetState.CHANGING) and not sent:
            sent.append(True)
            os.kill(os.getpid(), signal.SIGTERM)

    sent: list[bool] = []
    operator = ScriptedOperator(after_turn=interrupt)
    plan = case.plan(names)
    async with case.context.sound_database(make=True) as database:
        left = await control.apply(case.context, database, plan, None, operator, new_run=False)
        assert isinstance(left, DriveResult)
        run_id = left.progress.run.id
        assert (left.signal, left.at_once) == (signal.SIGTERM, False)
        assert left.progress.run.state is RunState.RUNNING
        assert (await find_run(case.context, database, run_id, None)).driver is None
        # The same plan again carries the run on, and asks about what is left of it.
        again = ScriptedOperator()
        ended = await control.apply(case.context, database, plan, None, again, new_run=False)
    assert isinstance(ended, DriveResult)
    assert (ended.progress.run.id, ended.progress.run.state) == (run_id, RunState.DONE)
    assert [command for command, _ in again.asked] == [Command.APPLY]
    assert case.changes(names) == dict.fromkeys(names, 1)
    case.check_safety()


async def test_a_run_that_another_process_has_ended_is_not_driven(case: Case) -> None:
    names = case.take(1)
    plan = case.plan(names)
    async with case.context.sound_database(make=True) as database:
        async with case.context.open_cloud(None, plan.region, plan.api, NO_RUN) as cloud:
            lease = await create_run(case.context, database, plan, None, cloud, ScriptedOperator())
            assert lease is not None
            first = await control.drive(
                case.context, database, lease, cloud, ScriptedOperator(), Command.APPLY, fresh=lease.last_seq
            )
        assert first.progress.run.state is RunState.DONE
        late = await control.resume(case.context, database, lease.run_id, ScriptedOperator())
    assert not late.driven
    assert case.changes(names) == {names[0]: 1}


@pytest.mark.slow
def test_a_use_case_loads_no_parser_of_command_lines() -> None:
    code = "import sys, fleetos.app.control, fleetos.app.doctor.cloud_probe; print('typer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_cloud_may_quote_the_password_of_a_server_that_is_taken_up_again_only_later() -> None:
    """An earlier process sent it; a retry in mid-run makes this one read the server once more."""
    order = a_target().order
    ended, waits = (replace(order, adminpass=SecretRef("env", name)) for name in ("EARLIER", "NOW"))
    targets = [a_target(1, order=ended, state=TargetState.FAILED), a_target(2, order=waits)]
    assert list(_orders(Progress(a_run(), targets))) == [waits, ended]
