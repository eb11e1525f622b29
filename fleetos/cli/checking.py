"""`fleetos validate` and `fleetos schema`: the plan file, without any cloud."""

from fleetos.cli.exits import ExitCode, Leave
from fleetos.cli.options import CloudOption, DbOption, Output, OutputOption, PlanArgument
from fleetos.cli.terminal import print_json, report, reporting, say, show
from fleetos.errors import InputError
from fleetos.planning.load import load_plan
from fleetos.planning.schema import plan_schema
from fleetos.views.documents import validate_document


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
            count = len(error.problems)
            say(f"{count} {'error' if count == 1 else 'errors'} in {plan}")
        else:
            print_json(validate_document(error.problems))
        raise Leave(ExitCode.INPUT) from None
    if output is Output.TABLE:
        count = len(loaded.servers)
        show(f"{plan} is valid: plan {loaded.name}, {count:,} {'server' if count == 1 else 'servers'} named")
    else:
        print_json(validate_document(()))


@reporting
def schema(db: DbOption = None, cloud: CloudOption = None) -> None:
    """Print the JSON Schema of the plan file, for editors.

    Example:

      fleetos schema > fleetos-plan.schema.json
    """
    del db, cloud
    print_json(plan_schema())
