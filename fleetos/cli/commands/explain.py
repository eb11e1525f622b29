"""`fleetos explain`."""

import anyio

from fleetos.app.context import AppContext
from fleetos.app.lookup import RunChoice, driver_of, find_run, find_server, find_standing, find_usual_change_s
from fleetos.cli.commands.status import has_none
from fleetos.cli.output import handle_errors, print_line, print_message, width, write
from fleetos.cli.usage.options import Output
from fleetos.clock import SystemClock
from fleetos.rules.admission.journal_facts import rollout_of
from fleetos.store import queries
from fleetos.views.documents.explanation import explanation_document
from fleetos.views.terminal.explanation import explanation_text
from fleetos.views.text.explanation import explain as explain_target
from fleetos.views.text.rollout_words import plan_zone

EVENTS_SHOWN = 10


@handle_errors
def explain(run: str, server: str, output: Output, db: str | None, cloud: str | None) -> None:
    """Say why one server of a run does not move."""
    anyio.run(_explain, AppContext(db, print_message), RunChoice(run, cloud), server, output)


async def _explain(context: AppContext, choice: RunChoice, server: str, output: Output) -> None:
    async with context.existing_database() as database:
        if await has_none(context, database, choice, output, {}) or database is None or choice.run is None:
            return
        summary = await find_run(context, database, choice.run, choice.cloud)
        progress = await queries.load(database, summary.run.id)
        target, driver = find_server(progress, server), driver_of(summary)
        standing = await find_standing(database, progress, SystemClock().now())
        usual_s = await find_usual_change_s(database, progress, target)
        records = await queries.last_events(database, summary.run.id, target.server_id, EVENTS_SHOWN)
    zone = plan_zone(progress.run.steering)
    facts, explained = rollout_of(progress, standing), explain_target(progress, standing, target, driver, usual_s)
    if output is Output.JSONL:
        print_line(explanation_document(facts, target, driver, explained, records, zone))
        return
    write(
        output,
        lambda: explanation_document(facts, target, driver, explained, records, zone),
        "events",
        lambda: explanation_text(facts, target, explained, records, zone, width()),
    )
