"""Commands of the panel "Maintenance": what each takes, and its help."""

from pathlib import Path
from typing import Annotated

import typer

from fleetos.cli.help_text import PlainCommand, PlainGroup
from fleetos.cli.lazy import implemented_in
from fleetos.cli.usage.options import CloudOption, DbOption, Output, OutputOption


@implemented_in("doctor")
def doctor(
    plan: Annotated[
        Path | None,
        typer.Argument(
            metavar="PLAN",
            help="A plan: its cloud, region and pace are looked at. Default: --cloud, then $OS_CLOUD, then variables.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        bool, typer.Option("--policy", help="Print the minimal IAM policy that a rollout needs, and nothing else.")
    ] = False,
    output: OutputOption = Output.TABLE,
    db: DbOption = None,
    cloud: CloudOption = None,
) -> None:
    """Look at database, clock, credentials, endpoints and permissions, and say what to do about what is wrong.

    Every read that fleetos makes of a cloud is tried once. Nothing is changed, there or here.

    Examples:

      fleetos doctor

      fleetos doctor plan.yaml -o json | jq -r '.checks[] | select(.grade == "broken") | .text'

      fleetos doctor --policy > policy.json
    """


sim = typer.Typer(cls=PlainGroup, invoke_without_command=True)


@sim.callback(invoke_without_command=True)
@implemented_in("sim")
def serve(
    context: typer.Context,
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Port 0 takes a free one.")] = "127.0.0.1:0",
    servers: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="How many servers.", show_default=False)
    ] = None,
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE", help="World and faults, as YAML or JSON.", show_default=False)
    ] = None,
    openapi: Annotated[
        bool, typer.Option("--openapi", help="Print the API in OpenAPI 3.1, as JSON, and serve nothing.")
    ] = False,
) -> None:
    """Serve a simulated cloud over HTTP until Ctrl-C; prints the environment to use as `export` lines.

    Tokens, access keys, servers, jobs, images and faults, on loopback only.

    Examples:

      fleetos sim --servers 300

      fleetos sim --scenario faults.yaml --listen 127.0.0.1:8080

      fleetos sim --openapi > openapi.json
    """


@sim.command(cls=PlainCommand)
@implemented_in("sim")
def reset(
    scenario: Annotated[
        Path | None,
        typer.Option(
            envvar="FLEETOS_SIM_SCENARIO", metavar="FILE", help="The world made from this scenario.", show_default=False
        ),
    ] = None,
) -> None:
    """Throw the world behind `cloud: sim` away; the next command that needs it makes a new one.

    Example:

      fleetos sim reset
    """


db = typer.Typer(cls=PlainGroup, help="Upgrade, check or copy the database.", no_args_is_help=True)


@db.command(cls=PlainCommand)
@implemented_in("db")
def upgrade(db: DbOption = None) -> None:
    """Upgrade the schema, after a backup; no run may be active.

    Example:

      fleetos db upgrade
    """


@db.command(cls=PlainCommand)
@implemented_in("db")
def check(db: DbOption = None) -> None:
    """Check the file, and that each journal agrees with the tables.

    Example:

      fleetos db check
    """


@db.command(cls=PlainCommand)
@implemented_in("db")
def backup(
    to: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes; must not exist yet.")],
    db: DbOption = None,
) -> None:
    """Copy the database while it is in use.

    Example:

      fleetos db backup /var/backups/fleetos.db
    """
