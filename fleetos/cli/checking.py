"""`fleetos validate` and `fleetos schema`: the plan file, without any cloud."""

from collections.abc import Sequence

from fleetos.cli.exits import ExitCode, Leave
from fleetos.cli.options import CloudOption, DbOption, Output, OutputOption, PlanArgument
from fleetos.cli.terminal import print_json, print_line, report, reporting, say, show
from fleetos.errors import InputError, Problem
from fleetos.planning.load import load_plan
from fleetos.planning.schema import plan_schema
from fleetos.views.documents import validate_document
from fleetos.views.wording import counted


@reporting
def validate(
    plan: PlanArgument, output: OutputOption = Output.TABLE, db: DbOption = None, cloud: CloudOption = None
) -> None:
    """Check a plan file without a cloud: every error at once, with its place and a hint.

    Examples:

      fleetos validate plans/demo.yaml

      fleetos validate plan.yaml -o json | jq '.errors[].hint'
    """
    del db, cloud  # every command takes them; this one needs neither
    try:
        loaded = load_plan(plan)
    except InputError as error:
        if output is Output.TABLE:
            report(error, output)
            say(f"{counted(len(error.problems), 'error')} in {plan}")
        else:
            _print(error.problems, output)
        raise Leave(ExitCode.INPUT) from None
    if output is Output.TABLE:
        show(f"{plan} is valid: plan {loaded.name}, {counted(len(loaded.servers), 'server')} named")
    else:
        _print((), output)


def _print(problems: Sequence[Problem], output: Output) -> None:
    document = validate_document(problems)
    if output is Output.JSON:
        print_json(document)
        return
    for one in document["errors"]:
        print_line(one)


@reporting
def schema(db: DbOption = None, cloud: CloudOption = None) -> None:
    """Print the JSON Schema of the plan file, for editors.

    Example:

      fleetos schema > fleetos-plan.schema.json
    """
    del db, cloud
    print_json(plan_schema())
