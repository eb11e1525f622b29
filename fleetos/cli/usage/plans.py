"""Commands of the panel "Plans": what each takes, and its help."""

from pathlib import Path
from typing import Annotated

import typer

from fleetos.cli.lazy import implemented_in
from fleetos.cli.usage.options import (
    AtOption,
    CloudOption,
    DbOption,
    ExpectWipesOption,
    NoWaitOption,
    Output,
    OutputOption,
    PlanArgument,
    YesOption,
)


@implemented_in("validate")
def validate(plan: PlanArgument, output: OutputOption = Output.TABLE) -> None:
    """Check a plan file without a cloud: every error at once, with its place and a hint.

    Examples:

      fleetos validate plans/demo.yaml

      fleetos validate plan.yaml -o json | jq '.errors[].hint'
    """


@implemented_in("plan")
def plan(
    plan: PlanArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Also write the plan as it is now to this file; `apply FILE` refuses to run if the cloud differs. "
            "Replaces nothing but an earlier frozen plan.",
            show_default=False,
        ),
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 if a system disk would be wiped, else with 0.")
    ] = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Read the cloud and show what apply would do to each server, and why. Changes nothing.

    Servers that the cloud would refuse to change are refused here, with the reason; apply leaves them alone.

    Examples:

      fleetos plan plan.yaml

      fleetos plan plan.yaml --out frozen.json --detailed-exitcode

      fleetos plan plan.yaml -o json | jq -r '.servers[] | select(.action == "refuse") | .name + ": " + .reason'
    """


@implemented_in("apply")
def apply(
    plan: PlanArgument,
    yes: YesOption = False,
    expect_wipes: ExpectWipesOption = None,
    new_run: Annotated[
        bool, typer.Option("--new-run", help="Freeze a new run even if one of this plan has ended.")
    ] = False,
    at: AtOption = None,
    no_wait: NoWaitOption = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Freeze a plan into a run and drive it to its end. Safe to be called again and again by a timer.

    An unfinished run of the same plan is carried on; one that has ended is not repeated, and one that is paused for
    something that you must look at is left to `resume`. PLAN may also be a file that `plan --out` wrote: then nothing
    is done unless the cloud, or what an unfinished run has left to do, is as the file says. Servers that the cloud
    would refuse to change are held with the reason, and not touched.

    With --expect-wipes a run that is carried on must have been created to wipe that many system disks, or have that
    many left to wipe.

    Examples:

      fleetos apply plans/demo.yaml

      fleetos apply plan.yaml --yes --expect-wipes 40 -o jsonl

      fleetos apply plan.yaml --at 22:00

      fleetos apply plan.yaml --yes --no-wait

      fleetos apply frozen.json --yes
    """


@implemented_in("rehearse")
def rehearse(
    plan: PlanArgument,
    seeds: Annotated[
        int,
        typer.Option("--seeds", min=1, max=1000, metavar="N", help="Number of plays. Default: 20.", show_default=False),
    ] = 20,
    failure_rate: Annotated[
        str, typer.Option("--failure-rate", metavar="PERCENT", help="Share of the changes that fail.")
    ] = "5%",
    approve_after: Annotated[
        str,
        typer.Option(
            "--approve-after", metavar="TIME", help="How long a wave that asks for an approval waits for one, as 15m."
        ),
    ] = "15m",
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            "--what-if",
            metavar="KEY=VALUE",
            help="Also rehearse it so: concurrency=40, failure-rate=10% or approve-after=2h. Repeat it for more.",
            show_default=False,
        ),
    ] = None,
    at: AtOption = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline",
            metavar="TIME",
            help="Exit with 10 unless 95% of the plays end by then: 05:00, 2026-12-01 05:00, or with an offset.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Play what apply would do, again and again, and say when it ends. Changes nothing, and writes nothing.

    Reads the cloud as `plan` does, and sends nothing more. Then it plays the run in virtual time against a simulated
    cloud with the same servers: each play draws other durations, from earlier runs where there were any, and other
    failures. The table has the end of each wave by which half, and 95%, of the plays were there.

    Examples:

      fleetos rehearse plan.yaml

      fleetos rehearse plan.yaml --deadline '2026-12-04 05:00' --what-if concurrency=40

      fleetos rehearse plan.yaml --seeds 100 --failure-rate 2% -o json | jq '.cases[].end'
    """


@implemented_in("drift")
def drift(
    plan: PlanArgument, output: OutputOption = Output.TABLE, db: DbOption = None, cloud: CloudOption = None
) -> None:
    """Tell which servers of a plan do not run the image that it names for them. Changes nothing.

    Exits with 2 if a server drifted, else with 0. Servers that are deleted, frozen or being changed, and those for
    which the cloud shows no image, are unknown; they do not count as drifted.

    Examples:

      fleetos drift plan.yaml

      fleetos drift plan.yaml -o json | jq -r '.servers[] | select(.verdict == "drifted") | .name'

      fleetos drift plan.yaml -o jsonl > drift.jsonl
    """


@implemented_in("validate")
def schema() -> None:
    """Print the JSON Schema of the plan file, for editors.

    Example:

      fleetos schema > fleetos-plan.schema.json
    """
