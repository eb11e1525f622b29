"""`fleetos validate` and `fleetos schema`."""

from pathlib import Path

from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.output import handle_errors, print_error, print_json, print_message, write, write_document
from fleetos.cli.usage.options import Output
from fleetos.errors import InputError
from fleetos.model.plan import Plan
from fleetos.planning.plan_file.json_schema import plan_schema
from fleetos.planning.plan_file.load import load_plan
from fleetos.text import counted
from fleetos.views.documents.errors import validate_document


@handle_errors
def validate(plan: Path, output: Output) -> None:
    """Check a plan file without a cloud: every error at once, with its place and a hint."""
    try:
        loaded = load_plan(plan)
        _check_receivers(loaded)
    except InputError as error:
        if output is Output.TABLE:
            print_error(error, output)
            print_message(f"{counted(len(error.problems), 'error')} in {plan}")
        else:
            write_document(output, validate_document(error.problems), "errors")
        raise Leave(ExitCode.INPUT) from None
    if output is Output.TABLE:
        for doubt in loaded.doubts:
            print_message(f"warning: {doubt.position}: {doubt.text}{f' ({doubt.hint})' if doubt.hint else ''}")
    text = f"{plan} is valid: plan {loaded.name}, {_servers_of(loaded)}"
    write(output, lambda: validate_document((), loaded.doubts), "errors", lambda: text)


def _check_receivers(plan: Plan) -> None:
    """Raise InputError for receivers of notifications that this environment does not have."""
    if plan.notify:
        from fleetos.app.notifications import check_receivers

        problems = check_receivers(plan).problems
        if problems:
            raise InputError(problems)


def _servers_of(plan: Plan) -> str:
    """Count the servers that the plan names, and the entries that select some: only the cloud knows which these are."""
    selectors = sum(ref.select is not None for ref in plan.servers)
    named = len(plan.servers) - selectors
    parts = [counted(named, "server")] if named or not selectors else []
    return " and ".join([*parts, *([counted(selectors, "selector")] if selectors else [])])


@handle_errors
def schema() -> None:
    """Print the JSON Schema of the plan file, for editors."""
    print_json(plan_schema())
