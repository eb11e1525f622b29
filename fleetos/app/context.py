"""Open the database and the cloud for a use case: the concrete classes behind the engine's protocols."""

import contextlib
import os
import pwd
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from fleetos.clock import Clock, SystemClock
from fleetos.errors import CloudError, StoreError, UnknownRun, UsageError
from fleetos.ids import SystemChance
from fleetos.limits import NAME_MAX_LETTERS
from fleetos.model.plan import ApiLimits
from fleetos.model.run import Scope
from fleetos.store.database.location import Location, locate
from fleetos.store.database.reader import Readable
from fleetos.store.database.schema_check import is_there, open_to_read
from fleetos.store.lease_rows import LeaseRequester
from fleetos.store.process import Holder, this_process

if TYPE_CHECKING:
    # Most commands look into the database only: SQLAlchemy and the client of the cloud are imported by what opens them.
    from fleetos.cloud.auth.credentials import Credentials
    from fleetos.cloud.client import CloudClient
    from fleetos.store.connect import Upgraded
    from fleetos.store.database.database import Database

Say = Callable[[str], None]

SIM = "sim"
SCENARIO = "FLEETOS_SIM_SCENARIO"
OPERATOR = "FLEETOS_OPERATOR"

# The home of a user who has none: nothing is ever found there (Debian Policy Manual, section 9.2.3).
_NO_HOME = Path("/nonexistent")


def loop_options() -> dict[str, Any]:
    """Return the options of anyio for a loop that drives a run: uvloop where the extra `speed` has installed it."""
    return {"use_uvloop": find_spec("uvloop") is not None}


def _passwd_home() -> str | None:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None


def home_folder(env: Mapping[str, str], passwd: Callable[[], str | None] = _passwd_home) -> Path | None:
    """Return the user's home: $HOME, else that of the passwd entry. None if there is neither, or no absolute path."""
    home = env.get("HOME", passwd())
    return Path(home) if home and Path(home).is_absolute() else None


def state_folder() -> Path:
    """Return the folder in which fleetos keeps its database and the built-in simulated cloud.

    Raise UsageError where nothing says where that is.
    """
    # Only an absolute path counts (XDG Base Directory Specification).
    placed = Path(os.environ.get("XDG_STATE_HOME", "").strip()).is_absolute()
    if not placed and home_folder(os.environ) is None:
        raise UsageError("this user has no home folder, so fleetos has no place for its state", "set HOME or --db")
    return platformdirs.user_state_path("fleetos", appauthor=False)


def operator_name(given: str | None = None) -> str:
    """Return who asks: the given name, else $FLEETOS_OPERATOR, else the user of this system.

    Raise UsageError for a variable that is too long or not printable.
    """
    name = (given or os.environ.get(OPERATOR, "")).strip()
    if len(name) > NAME_MAX_LETTERS or not name.isprintable():
        raise UsageError(f"${OPERATOR} is no name: expected 1 to {NAME_MAX_LETTERS} printable letters")
    return name or this_process().user


@dataclass(frozen=True, slots=True)
class AppContext:
    """Settings that a use case gets from its caller, and the database and cloud that it opens with them."""

    db: str | None
    """Path or URL of the database, as --db or $FLEETOS_DB gives it; None: the one in the state folder."""
    say: Say
    """Tell the operator a sentence that is no result."""
    clock: Clock = field(default_factory=SystemClock)

    def location(self) -> Location:
        """Return where the database is. Raise UsageError."""
        return locate(self.db or state_folder() / "fleetos.db")

    def named_by(self) -> str:
        """Return who says where the database is."""
        if not self.db:
            return "the default place"
        return "$FLEETOS_DB" if self.db == os.environ.get("FLEETOS_DB") else "--db"

    def no_runs_yet(self) -> str:
        """Return the sentence for a database that holds no run, or is not there."""
        return f"no runs yet in {self.location().shown} ({self.named_by()}); start one with: fleetos apply PLAN"

    def watcher(self) -> LeaseRequester:
        """Return this process as it asks for leases; it says when it waits for one."""
        return LeaseRequester(this_process(), self.clock, on_wait=self._say_wait)

    def is_missing(self) -> bool:
        """Return whether the database is not there. Raise UsageError if one is named that is not there."""
        location = self.location()
        if is_there(location):
            return False
        if self.db:
            raise UsageError(
                f"there is no database at {location.shown} ({self.named_by()})",
                "check the path; `fleetos apply PLAN` makes a new database",
            )
        return True

    @contextlib.asynccontextmanager
    async def existing_database(self, *, before_apply: bool = False) -> AsyncGenerator[Readable | None]:
        """Yield the database for a use case that only reads; None where there is none yet. Make nothing.

        Raise UsageError where --db or $FLEETOS_DB leads nowhere. A use case that may come `before_apply`, which makes
        the database, only says so.
        """
        location = self.location()
        if before_apply and self.db and not is_there(location):
            place = f"{location.shown} ({self.named_by()})"
            self.say(f"there is no database at {place}: apply makes it, and knows of no earlier run")
        else:
            self.is_missing()
        opened = await open_to_read(location)
        try:
            yield opened
        finally:
            if opened is not None:
                await opened.close()

    @contextlib.asynccontextmanager
    async def sound_database(self, *, make: bool = False) -> "AsyncGenerator[Database]":
        """Yield the database for a use case that sends requests: its integrity is checked first.

        `make` it if it is not there. Raise UsageError or UnknownRun otherwise.
        """
        from fleetos.store.connect import open_database
        from fleetos.store.integrity import check_integrity

        location = self.location()
        new = not is_there(location) if make else self.is_missing()
        if new and not make:
            raise UnknownRun(self.no_runs_yet())
        try:
            opened = await open_database(location, self.watcher(), self._say_upgrade)
            try:
                if new and self.db:
                    self.say(f"made a new database: {location.shown} ({self.named_by()})")
                await check_integrity(opened)
                yield opened
            finally:
                await opened.close()
        except StoreError as error:
            error.hint = error.hint or "see to it that the database can be read and written, then call fleetos again"
            raise

    async def credentials(self, cloud: str | None, region: str | None) -> "Credentials":
        """Return the credentials of the cloud; for `sim` start the built-in simulated cloud if it does not run.

        Raise UsageError or InputError for what is missing.
        """
        from fleetos.cloud.auth.config_files import SearchFolders
        from fleetos.cloud.auth.sources import load as load_credentials

        places = SearchFolders(Path.cwd(), home_folder(os.environ) or _NO_HOME)
        if cloud != SIM:
            found = await load_credentials(cloud, region, os.environ, places)
            if found.notice is not None:
                self.say(found.notice)
            return found
        from fleetos.sim.server import builtin

        scenario = os.environ.get(SCENARIO)
        access = await builtin.ensure(state_folder() / "sim", Path(scenario) if scenario else None)
        credentials = await load_credentials(None, region, access.environment(), places)
        return replace(credentials, found_in="the built-in simulated cloud")

    @contextlib.asynccontextmanager
    async def open_cloud(
        self, name: str | None, region: str | None, limits: ApiLimits, state_of_things: str
    ) -> "AsyncGenerator[CloudClient]":
        """Yield the cloud, logged in. Raise AuthenticationFailed or CloudUnreachable, with_hint at the state."""
        from fleetos.cloud.connect import open_cloud

        access = await self.credentials(name, region)
        async with contextlib.AsyncExitStack() as stack:
            opening = open_cloud(access, clock=self.clock, chance=SystemChance(), limits=limits, env=os.environ)
            with with_hint(state_of_things):
                cloud = await stack.enter_async_context(opening)
            yield cloud

    def _say_wait(self, holder: Holder, left_s: float) -> None:
        self.say(f"waiting for up to {left_s:.0f} s, until it is certain that {holder} drives this run no more")

    def _say_upgrade(self, done: "Upgraded") -> None:
        copy = f"; the copy from before is {done.copy}" if done.copy else ""
        self.say(f"the database was migrated from {done.before} to {done.after}{copy}")


def chosen_cloud(asked: str | None, written: str | None) -> str | None:
    """Return the cloud's entry: the plan's, else --cloud, else $OS_CLOUD; None leaves it to the OS_* variables.

    Raise UsageError if plan and option name different ones.
    """
    if asked is not None and written is not None and asked != written:
        raise UsageError(
            f"--cloud {asked} differs from the plan's cloud: {written}",
            "leave one of them out: a plan is never sent to another cloud by an option",
        )
    return written or asked or os.environ.get("OS_CLOUD") or None


@contextlib.contextmanager
def with_hint(state_of_things: str) -> Generator[None]:
    """Add the state of the run, or that there is none, to the hint of a CloudError."""
    try:
        yield
    except CloudError as error:
        error.hint = f"{error.hint}\n{state_of_things}" if error.hint else state_of_things
        raise


def scope_key(scope: Scope) -> str:
    """Return the part of a cloud that shares limits and durations, as the database knows it."""
    return f"{scope.endpoint} {scope.project_id}"
