"""How `fleetos doctor` looks at a database: it changes nothing, makes nothing and migrates nothing."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import func, select, text

from fleetos.errors import FleetosError, StoreError
from fleetos.limits import LEASE_TERM_S
from fleetos.model.diagnosis import ClaimFacts, FileFacts, RunFacts, SchemaFacts
from fleetos.model.states import RUN_ENDS
from fleetos.store import leases, queries
from fleetos.store.connect import revision
from fleetos.store.database.database import Database
from fleetos.store.database.migration import REVISION, known_revisions
from fleetos.store.database.open_file import mounts
from fleetos.store.database.sqlite_files import exists
from fleetos.store.database.tables import claims, runs
from fleetos.store.leases import LeaseRequester

_OVER = [state.value for state in RUN_ENDS]


def file_facts(path: Path) -> FileFacts:
    """What can be told of the file without opening it, and of where it lies or would lie."""
    about = _stat(path)
    folder = next((one for one in path.parents if one.is_dir()), Path("/"))
    return FileFacts(
        path=str(path),
        size_bytes=None if about is None else about.st_size,
        mode=None if about is None else stat.S_IMODE(about.st_mode),
        ours=about is None or about.st_uid == os.geteuid(),
        usable=about is None or (stat.S_ISREG(about.st_mode) and os.access(path, os.R_OK | os.W_OK)),
        folder=str(folder),
        folder_mode=stat.S_IMODE(folder.stat().st_mode),
        folder_usable=os.access(folder, os.W_OK | os.X_OK),
        file_system=_file_system(folder),
        free_bytes=_free_bytes(folder),
        refused=_refusal(path),
    )


async def schema_facts(database: Database) -> SchemaFacts:
    """Kind, version and revision of the database. Raises DatabaseUnusable, RunDriven if another process holds it."""
    sqlite = database.location.path is not None
    asked = "SELECT sqlite_version()" if sqlite else "SELECT current_setting('server_version')"
    async with database.reading() as connection:
        version = str(await connection.scalar(text(asked)))
    found = await revision(database, newer=True)
    known = found is None or found in known_revisions()
    kind = "SQLite" if sqlite else "PostgreSQL"
    return SchemaFacts(kind, version, found, REVISION, known, migrates_itself=sqlite)


async def timeline(database: Database) -> int | None:
    """Return the timeline of a PostgreSQL server: it grows when a standby is promoted or a backup restored.

    None where this login may not ask, or the server has none (PostgreSQL manual, "Control Data Functions").
    """
    try:
        async with database.reading() as connection:
            found = await connection.scalar(text("SELECT timeline_id FROM pg_control_checkpoint()"))
    except StoreError:
        return None
    return found if isinstance(found, int) else None


async def run_facts(database: Database, watcher: LeaseRequester) -> Sequence[RunFacts]:
    """The runs that have not ended, each with whoever holds its lease. Raises as `schema_facts` does."""
    unfinished = await queries.unfinished_runs(database, watcher)
    async with database.reading() as connection:
        held = await leases.held(connection, watcher.clock)
    found: list[RunFacts] = []
    for one in unfinished:
        seen = held.get(one.run.id)
        facts = RunFacts(one.run.id, one.run.name, one.run.state.value)
        if seen is not None and one.driver is not None:
            left_s = max(0.0, LEASE_TERM_S - max(0.0, seen.age_s))
            holder, life = str(one.driver.holder), one.driver.life.value
            facts = RunFacts(facts.run_id, facts.name, facts.state, holder, life, left_s)
        found.append(facts)
    return found


async def claim_facts(database: Database) -> Sequence[ClaimFacts]:
    """The runs that hold servers though they have ended. Raises as `schema_facts` does."""
    columns = (runs.c.id, runs.c.state, func.count())
    of_ended = select(*columns).join(claims, claims.c.run_id == runs.c.id).where(runs.c.state.in_(_OVER))
    async with database.reading() as connection:
        found = (await connection.execute(of_ended.group_by(runs.c.id, runs.c.state).order_by(runs.c.id))).all()
    return [ClaimFacts(run_id, state, servers) for run_id, state, servers in found]


def _refusal(path: Path) -> FleetosError | None:
    try:
        exists(path)
    except FleetosError as error:
        return error
    return None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _free_bytes(folder: Path) -> int | None:
    try:
        about = os.statvfs(folder)
    except OSError:
        return None
    return about.f_bavail * about.f_frsize


def _file_system(folder: Path) -> str | None:
    """The kind of the file system that the folder is on, by the longest mount point above it; None: nobody says."""
    mounted = mounts()
    above = (one for one in (folder, *folder.parents) if str(one) in mounted)
    return next((mounted[str(one)] for one in above), None)
