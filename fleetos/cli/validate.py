"""`fleetos validate` and `fleetos schema`: the plan file, without any cloud."""

from collections.abc import Sequence

from fleetos.cli.exit_codes import ExitCode, Leave
from fleetos.cli.options import Output, OutputOption, PlanArgument
from fleetos.cli.output import print_json, print_line, read_or_not, report, reporting, say, show
from fleetos.errors import InputError, Problem
from fleetos.model.plan import Plan
from fleetos.planning.load import load_plan
from fleetos.planning.schema import plan_schema
from fleetos.text import counted
from fleetos.views.documents import validate_document


@reporting
def validate(plan: PlanArgument, output: OutputOption = Output.TABLE) -> None:
    """Check a plan file without a cloud: every error at once, with its place and a hint.

    Examples:

      fleetos validate plans/demo.yaml

      fleetos validate plan.yaml -o json | jq '.errors[].hint'
    """
    try:
        loaded = load_plan(plan)
    except InputError as error:
        if output is Output.TABLE:
            report(error, output)
            say(f"{counted(len(error.problems), 'error')} in {plan}")
        else:
            with read_or_not():
                _print(error.problems, (), output)
        raise Leave(ExitCode.INPUT) from None
    if output is Output.TABLE:
        for doubt in loaded.doubts:
            say(f"warning: {doubt.at}: {doubt.said}{f' ({doubt.hint})' if doubt.hint else ''}")
        show(f"{plan} is valid: plan {loaded.name}, {_servers_of(loaded)}")
    else:
        _print((), loaded.doubts, output)


def _servers_of(plan: Plan) -> str:
    """How many servers the plan names and how many entries select some: which these are, only the cloud knows."""
    selectors = sum(ref.select is not None for ref in plan.servers)
    named = len(plan.servers) - selectors
    parts = [counted(named, "server")] if named or not selectors else []
    return " and ".join([*parts, *([counted(selectors, "selector")] if selectors else [])])


def _print(problems: Sequence[Problem], doubts: Sequence[Problem], output: Output) -> None:
    document = validate_document(problems, doubts)
    if output is Output.JSON:
        print_json(document)
        return
    for one in document["errors"]:
        print_line(one)


@reporting
def schema() -> None:
    """Print the JSON Schema of the plan file, for editors.

    Example:

      fleetos schema > fleetos-plan.schema.json
    """
    print_json(plan_schema())
