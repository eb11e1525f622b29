"""`fleetos sim`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import anyio
import typer

from fleetos.app.context import SCENARIO, state_folder
from fleetos.cli.help_text import PlainGroup
from fleetos.cli.output import print_json, reporting, say, show
from fleetos.sim.api.access import Access
from fleetos.sim.server import builtin

app = typer.Typer(cls=PlainGroup, invoke_without_command=True)


@app.callback(invoke_without_command=True)
@reporting
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
    if context.invoked_subcommand is not None:
        return
    if openapi:
        from fleetos.sim.api.openapi import openapi as description

        print_json(description())
        return
    from fleetos.sim.server.serve import Listen, chosen_scenario, run

    def announce(url: str) -> None:
        access = Access(url)
        for name, value in access.environment().items():
            show(f"export {name}={shlex.quote(value)}")
        signing = " ".join(f"{name}={shlex.quote(value)}" for name, value in access.key_environment().items())
        show("# To sign with its access key in place of the password, also:")
        show(f"# export {signing}")
        sys.stdout.flush()
        say(f"the simulated cloud listens on {url}; its ledger is at {url}/admin/ledger; Ctrl-C ends it")

    run(Listen.parse(listen), chosen_scenario(scenario, servers), announce=announce)


@app.command()
@reporting
def reset(
    scenario: Annotated[
        Path | None,
        typer.Option(envvar=SCENARIO, metavar="FILE", help="The world made from this scenario.", show_default=False),
    ] = None,
) -> None:
    """Throw the world behind `cloud: sim` away; the next command that needs it makes a new one.

    Example:

      fleetos sim reset
    """
    anyio.run(builtin.reset, state_folder() / "sim", scenario)
    say("the simulated cloud was reset; run again with: fleetos apply PLAN --new-run")
