"""Where the database and the cloud are opened for a command: the concrete classes behind the engine's protocols."""

import contextlib
import os
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from pathlib import Path

import platformdirs

from fleetos.cli.terminal import say
from fleetos.clock import SystemClock
from fleetos.cloud.credentials import Places
from fleetos.cloud.credentials import load as load_credentials
from fleetos.cloud.ecs import EcsCloud
from fleetos.cloud.identity import Credentials
from fleetos.cloud.opening import open_cloud
from fleetos.errors import CloudError, StoreError, UsageError
from fleetos.ids import SystemChance
from fleetos.model.plan import ApiLimits
from fleetos.model.run import Scope
from fleetos.sim import builtin
from fleetos.store.checking import prove_sound
from fleetos.store.database import Database
from fleetos.store.holder import Holder, this_process
from fleetos.store.leases import Watcher
from fleetos.store.location import Location, locate
from fleetos.store.opening import Upgraded, open_database

SIM = "sim"
SCENARIO = "FLEETOS_SIM_SCENARIO"


def state_folder() -> Path:
    """The folder in which fleetos keeps its database and the built-in simulated cloud."""
    return platformdirs.user_state_path("fleetos", appauthor=False)


def located(db: str | None) -> Location:
    """Where the database is that --db names, or the one in the state folder. Raises UsageError."""
    return locate(db or state_folder() / "fleetos.db")


def watcher() -> Watcher:
    """This process as it asks for leases, and how it says that it waits for one."""
    return Watcher(this_process(), SystemClock(), on_wait=_say_wait)


def _say_wait(holder: Holder, left_s: float) -> None:
    say(f"waiting for up to {left_s:.0f} s, until it is certain that {holder} drives this run no more")


@contextlib.asynccontextmanager
async def database(db: str | None) -> AsyncGenerator[Database]:
    """The database that --db names, or the one in the state folder; closed at the end."""
    opened = await open_database(located(db), watcher(), _say_upgrade)
    try:
        yield opened
    finally:
        await opened.close()


@contextlib.asynccontextmanager
async def existing_database(db: str | None) -> AsyncGenerator[Database | None]:
    """The database for a command that leaves nothing behind: None where there is no file of it yet."""
    path = located(db).path
    if path is not None and not path.exists():
        yield None
        return
    async with database(db) as opened:
        yield opened


@contextlib.asynccontextmanager
async def sound_database(db: str | None) -> AsyncGenerator[Database]:
    """The database for a command that will act by what it says: proven to be sound before anything is sent."""
    try:
        async with database(db) as opened:
            await prove_sound(opened)
            yield opened
    except StoreError as error:
        error.hint = error.hint or "see to it that the database can be read and written, then call fleetos again"
        raise


def _say_upgrade(done: Upgraded) -> None:
    copy = f"; the copy from before is {done.copy}" if done.copy else ""
    say(f"the database was migrated from {done.before} to {done.after}{copy}")


def chosen_cloud(asked: str | None, written: str | None) -> str | None:
    """The cloud's entry: the plan's, else --cloud, else $OS_CLOUD; None leaves it to the OS_* variables.

    Raises UsageError if plan and option name different ones.
    """
    if asked is not None and written is not None and asked != written:
        raise UsageError(
            f"--cloud {asked} differs from the plan's cloud: {written}",
            "leave one of them out: a plan is never sent to another cloud by an option",
        )
    return written or asked or os.environ.get("OS_CLOUD") or None


async def credentials(cloud: str | None, region: str | None) -> Credentials:
    """The way into the cloud; for `sim` the built-in simulated cloud is started if it does not run.

    Raises UsageError or InputError for what is missing.
    """
    places = Places(Path.cwd(), Path.home())
    if cloud != SIM:
        return await load_credentials(cloud, region, os.environ, places)
    scenario = os.environ.get(SCENARIO)
    access = await builtin.ensure(state_folder() / "sim", Path(scenario) if scenario else None)
    found = await load_credentials(None, region, access.environment(), places)
    return replace(found, found_in="the built-in simulated cloud")


@contextlib.asynccontextmanager
async def cloud_at(access: Credentials, limits: ApiLimits, state_of_things: str) -> AsyncGenerator[EcsCloud]:
    """The cloud, logged in. Raises AuthenticationFailed or CloudUnreachable, with the state of things in the hint."""
    clock, chance = SystemClock(), SystemChance()
    async with contextlib.AsyncExitStack() as stack:
        opening = open_cloud(access, clock=clock, chance=chance, limits=limits, env=os.environ)
        with hinting(state_of_things):
            cloud = await stack.enter_async_context(opening)
        yield cloud


@contextlib.contextmanager
def hinting(state_of_things: str) -> Generator[None]:
    """Adds to the hint of an error of the cloud what has become of the run, or that there is none."""
    try:
        yield
    except CloudError as error:
        error.hint = f"{error.hint}\n{state_of_things}" if error.hint else state_of_things
        raise


def scope_key(scope: Scope) -> str:
    """The part of a cloud that shares limits and durations, as the database knows it."""
    return f"{scope.endpoint} {scope.project_id}"
