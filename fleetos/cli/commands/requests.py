"""`fleetos pause`, `hold`, `release`, `skip`, `set`, `approve`, `wave promote`: requests to a run, driven or not."""

import anyio

from fleetos.app import control
from fleetos.app.context import AppContext, loop_options, operator_name
from fleetos.app.lookup import find_run
from fleetos.app.requests import Asked
from fleetos.app.results import RequestResult
from fleetos.cli.confirm import TerminalOperator
from fleetos.cli.exit_codes import ExitCode, Leave, code_of_request
from fleetos.cli.output import handle_errors, print_json, print_message
from fleetos.cli.run_end import show_drive
from fleetos.cli.usage.options import Output
from fleetos.errors import UsageError
from fleetos.limits import CONCURRENCY_MAX
from fleetos.model.journal.requests import RequestKind, RequestOutcome
from fleetos.model.states import RUN_ENDS
from fleetos.store.database.database import Database
from fleetos.store.queries import RunSummary
from fleetos.views.documents.run import request_document
from fleetos.views.terminal.summary import resume_command
from fleetos.views.text.reasons import request_words

_CONCURRENCY = "concurrency"


@handle_errors
def pause(run: str, reason: str, operator: str | None, output: Output, db: str | None, cloud: str | None) -> None:
    """Pause a run: start no more servers, take back those that were made ready, let running changes finish."""
    _request(RequestKind.PAUSE, run, Asked(operator_name(operator), reason), output, db, cloud)


@handle_errors
def hold(
    run: str,
    servers: list[str],
    reason: str,
    operator: str | None,
    output: Output,
    db: str | None,
    cloud: str | None,
) -> None:
    """Hold servers back whose change was not sent yet."""
    _request(RequestKind.HOLD, run, Asked(operator_name(operator), reason, servers), output, db, cloud)


@handle_errors
def release(
    run: str,
    servers: list[str],
    reason: str,
    operator: str | None,
    output: Output,
    db: str | None,
    cloud: str | None,
) -> None:
    """Let servers go on that an operator holds."""
    _request(RequestKind.RELEASE, run, Asked(operator_name(operator), reason, servers), output, db, cloud)


@handle_errors
def skip(
    run: str,
    servers: list[str],
    reason: str,
    operator: str | None,
    output: Output,
    db: str | None,
    cloud: str | None,
) -> None:
    """Take servers out of a run: they count as skipped."""
    _request(RequestKind.SKIP, run, Asked(operator_name(operator), reason, servers), output, db, cloud)


@handle_errors
def change_setting(
    run: str,
    setting: str,
    reason: str,
    operator: str | None,
    output: Output,
    db: str | None,
    cloud: str | None,
) -> None:
    """Change the concurrency of a run."""
    asked = Asked(operator_name(operator), reason, concurrency=_concurrency(setting))
    _request(RequestKind.SET, run, asked, output, db, cloud)


@handle_errors
def approve(
    run: str, wave: int, reason: str, operator: str | None, output: Output, db: str | None, cloud: str | None
) -> None:
    """Approve the wave that is to open next."""
    _request(RequestKind.APPROVE, run, Asked(operator_name(operator), reason, wave=wave), output, db, cloud)


@handle_errors
def promote(
    run: str,
    reason: str,
    incomplete: int | None,
    operator: str | None,
    output: Output,
    db: str | None,
    cloud: str | None,
) -> None:
    """End the bake of a wave, or open the next one although servers have not ended."""
    _request(RequestKind.PROMOTE, run, Asked(operator_name(operator), reason, incomplete=incomplete), output, db, cloud)


def _concurrency(setting: str) -> int:
    """Return the number that `concurrency=N` says. Raise UsageError."""
    name, _, value = setting.partition("=")
    if name != _CONCURRENCY or not value.isascii() or not value.isdigit() or not 1 <= int(value) <= CONCURRENCY_MAX:
        raise UsageError(f"expected {_CONCURRENCY}=N with a number from 1 to {CONCURRENCY_MAX:,}, not {setting[:80]!r}")
    return int(value)


def _request(kind: RequestKind, run: str, asked: Asked, output: Output, db: str | None, cloud: str | None) -> None:
    context, operator = AppContext(db, print_message), TerminalOperator(output)
    raise Leave(anyio.run(_ask_run, context, run, cloud, operator, asked, kind, backend_options=loop_options()))


async def _ask_run(
    context: AppContext, given: str, cloud: str | None, operator: TerminalOperator, asked: Asked, kind: RequestKind
) -> ExitCode:
    async with context.sound_database() as database:
        summary = await find_run(context, database, given, cloud)
        return await ask(context, database, summary, operator, asked, kind)


async def ask(
    context: AppContext,
    database: Database,
    summary: RunSummary,
    operator: TerminalOperator,
    asked: Asked,
    kind: RequestKind,
) -> ExitCode:
    """Ask something of the run, show what became of it, and return the exit code."""
    result = await control.request(context, database, summary, operator, asked, kind)
    if result.drive is not None:
        await show_drive(database, result.drive, operator.output)
    elif operator.output is Output.JSON:
        print_json(request_document(result.progress.run, result.answer))
    _say_answer(result, kind)
    return code_of_request(result)


def _say_answer(result: RequestResult, kind: RequestKind) -> None:
    run_id, answer = result.progress.run.id, result.answer
    if answer is None:
        driver = result.driver and result.driver.present
        print_message(f"{kind}: asked, and {driver} has not answered yet; watch it with: fleetos events {run_id} -f")
        return
    print_message(request_words(answer))
    if answer.outcome is not RequestOutcome.REFUSED and _leaves_work(result, kind):
        print_message(f"go on with: {resume_command(result.progress.run)}")


def _leaves_work(result: RequestResult, kind: RequestKind) -> bool:
    """Return whether somebody must carry on with the run: it was paused, or no process opens the wave."""
    undriven = result.driver is None and result.progress.run.state not in RUN_ENDS
    return kind is RequestKind.PAUSE or (kind in (RequestKind.APPROVE, RequestKind.PROMOTE) and undriven)
