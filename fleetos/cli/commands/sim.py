"""`fleetos sim`."""

import shlex
import sys
from pathlib import Path

import anyio
import typer

from fleetos.app.context import state_folder
from fleetos.cli.output import handle_errors, print_data, print_json, print_message
from fleetos.sim.api.access import Access
from fleetos.sim.server import builtin


@handle_errors
def serve(context: typer.Context, listen: str, servers: int | None, scenario: Path | None, openapi: bool) -> None:
    """Serve a simulated cloud over HTTP until Ctrl-C; prints the environment to use as `export` lines."""
    if context.invoked_subcommand is not None:
        return
    if openapi:
        from fleetos.sim.api.openapi import openapi as description

        print_json(description())
        return
    from fleetos.sim.server.serve import ListenAddress, choose_scenario, run

    def announce(url: str) -> None:
        access = Access(url)
        for name, value in access.environment().items():
            print_data(f"export {name}={shlex.quote(value)}")
        signing = " ".join(f"{name}={shlex.quote(value)}" for name, value in access.key_environment().items())
        print_data("# To sign with its access key in place of the password, also:")
        print_data(f"# export {signing}")
        sys.stdout.flush()
        print_message(f"the simulated cloud listens on {url}; its ledger is at {url}/admin/ledger; Ctrl-C ends it")

    run(ListenAddress.parse(listen), choose_scenario(scenario, servers), announce=announce)


@handle_errors
def reset(scenario: Path | None) -> None:
    """Throw the world behind `cloud: sim` away; the next command that needs it makes a new one."""
    anyio.run(builtin.reset, state_folder() / "sim", scenario)
    print_message("the simulated cloud was reset; run again with: fleetos apply PLAN --new-run")
