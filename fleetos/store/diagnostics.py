"""Facts for `fleetos doctor`, read without creating, changing or migrating anything."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from fleetos.errors import FleetosError, StoreError
from fleetos.limits import LEASE_TERM_S
from fleetos.model.diagnosis import ClaimFacts, FileFacts, RunFacts, SchemaFacts
from fleetos.model.states import RUN_ENDS
from fleetos.store import lease_rows, queries
from fleetos.store.database.database import Database
from fleetos.store.database.migration import REVISION, known_revisions
from fleetos.store.database.open_file import read_mounts
from fleetos.store.database.schema_check import revision
from fleetos.store.database.sqlite_files import exists
from fleetos.store.lease_rows import LeaseRequester

_ENDED = [state.value for state in RUN_ENDS]
_CLAIMS_OF_ENDED = """
    SELECT runs.id, runs.state, count(*) FROM runs JOIN claims ON claims.run_id = runs.id WHERE runs.state IN :ended
    GROUP BY runs.id, runs.state ORDER BY runs.id
"""


def file_facts(path: Path) -> FileFacts:
    """Return the facts about the file and its folder that can be read without opening the file."""
    file_stat = _read_stat(path)
    folder = next((parent for parent in path.parents if parent.is_dir()), Path("/"))
    return FileFacts(
        path=str(path),
        size_bytes=None if file_stat is None else file_stat.st_size,
        mode=None if file_stat is None else stat.S_IMODE(file_stat.st_mode),
        ours=file_stat is None or file_stat.st_uid == os.geteuid(),
        usable=file_stat is None or (stat.S_ISREG(file_stat.st_mode) and os.access(path, os.R_OK | os.W_OK)),
        folder=str(folder),
        folder_mode=stat.S_IMODE(folder.stat().st_mode),
        folder_usable=os.access(folder, os.W_OK | os.X_OK),
        file_system=_find_file_system(folder),
        free_bytes=_free_bytes(folder),
        refused=_find_refusal(path),
    )


async def schema_facts(database: Database) -> SchemaFacts:
    """Return kind, version and revision of the database.

    Raise DatabaseUnusable; RunDriven if another process holds it.
    """
    sqlite = database.location.path is not None
    version_query = "SELECT sqlite_version()" if sqlite else "SELECT current_setting('server_version')"
    async with database.reading() as connection:
        ((version,),) = await connection.rows(version_query)
    found_revision = await revision(database, newer=True)
    known = found_revision is None or found_revision in known_revisions()
    kind = "SQLite" if sqlite else "PostgreSQL"
    return SchemaFacts(kind, str(version), found_revision, REVISION, known, migrates_itself=sqlite)


async def read_timeline(database: Database) -> int | None:
    """Return the timeline of a PostgreSQL server: it grows when a standby is promoted or a backup restored.

    Return None if this login may not read it, or the server has none (PostgreSQL manual, "Control Data Functions").
    """
    try:
        async with database.reading() as connection:
            ((timeline_id,),) = await connection.rows("SELECT timeline_id FROM pg_control_checkpoint()")
    except StoreError:
        return None
    return timeline_id if isinstance(timeline_id, int) else None


async def run_facts(database: Database, requester: LeaseRequester) -> Sequence[RunFacts]:
    """Return the runs that have not ended, each with the holder of its lease. Raise as `schema_facts` does."""
    unfinished = await queries.unfinished_runs(database, requester)
    async with database.reading() as connection:
        held = await lease_rows.read_held_leases(connection, requester.clock)
    all_facts: list[RunFacts] = []
    for summary in unfinished:
        lease = held.get(summary.run.id)
        facts = RunFacts(summary.run.id, summary.run.name, summary.run.state.value)
        if lease is not None and summary.driver is not None:
            remaining_s = max(0.0, LEASE_TERM_S - max(0.0, lease.age_s))
            holder, life = str(summary.driver.holder), summary.driver.life.value
            facts = RunFacts(facts.run_id, facts.name, facts.state, holder, life, remaining_s)
        all_facts.append(facts)
    return all_facts


async def claim_facts(database: Database) -> Sequence[ClaimFacts]:
    """Return the runs that hold servers though they have ended. Raise as `schema_facts` does."""
    async with database.reading() as connection:
        rows = await connection.rows(_CLAIMS_OF_ENDED, {"ended": _ENDED})
    return [ClaimFacts(run_id, state, servers) for run_id, state, servers in rows]


def _find_refusal(path: Path) -> FleetosError | None:
    try:
        exists(path)
    except FleetosError as error:
        return error
    return None


def _read_stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _free_bytes(folder: Path) -> int | None:
    try:
        statistics = os.statvfs(folder)
    except OSError:
        return None
    return statistics.f_bavail * statistics.f_frsize


def _find_file_system(folder: Path) -> str | None:
    """Return the kind of the file system that holds the folder, by the longest mount point above it.

    Return None if the system does not tell.
    """
    file_systems = read_mounts()
    mount_points = (parent for parent in (folder, *folder.parents) if str(parent) in file_systems)
    return next((file_systems[str(mount_point)] for mount_point in mount_points), None)
