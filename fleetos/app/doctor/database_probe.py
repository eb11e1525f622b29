"""Collect facts about the database and have them judged. Open what is there as a reader, and make nothing."""

import contextlib
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio

from fleetos.app.context import AppContext
from fleetos.app.doctor.database_rules import of_backup, of_claims, of_file, of_runs, of_schema, of_timeline
from fleetos.clock import Clock
from fleetos.errors import DatabaseUnusable, StoreError, UsageError
from fleetos.limits import DATABASE_EXAMINED_WITHIN_S
from fleetos.model.diagnosis import Diagnosis, Grade, OnDiagnosis, Topic, diagnose_error, diagnose_skipped
from fleetos.store.database.database import Database
from fleetos.store.database.sqlite_files import newest_backup
from fleetos.store.diagnostics import claim_facts, file_facts, read_timeline, run_facts, schema_facts
from fleetos.store.integrity import check_integrity
from fleetos.threads import run_abandonable

T = TypeVar("T")
_TABLES = (Topic.LEASE, Topic.CLAIMS)


@contextlib.asynccontextmanager
async def probe_database(context: AppContext, tell: OnDiagnosis) -> AsyncGenerator[Database | None]:
    """Report every check of the database; yield it if its tables can be read, else None."""
    async with contextlib.AsyncExitStack() as stack:
        yield await _probe(context, tell, stack)


async def _probe(context: AppContext, tell: OnDiagnosis, stack: contextlib.AsyncExitStack) -> Database | None:
    try:
        location = context.location()
    except UsageError as error:
        tell(diagnose_error(Topic.DATABASE, error))
        return _unread(tell, "there is no database to look at", Topic.SCHEMA, Topic.INTEGRITY)
    named_by = context.named_by() if context.db else None
    if location.path is not None and not await _file_serves(location.path, named_by, context.clock, tell):
        return _unread(tell, "there is no database to look at", Topic.SCHEMA, Topic.INTEGRITY)
    database = Database(location)
    stack.push_async_callback(database.close)
    if location.path is not None and not await _is_sound(database, tell):
        return _unread(tell, "the database cannot be read", Topic.SCHEMA)
    try:
        schema = await _in_time(schema_facts(database))
    except StoreError as error:
        tell(diagnose_error(Topic.SCHEMA if location.path is not None else Topic.DATABASE, error))
        more = () if location.path is not None else (Topic.SCHEMA, Topic.INTEGRITY)
        return _unread(tell, "the database cannot be read", *more)
    if location.path is None:
        tell(Diagnosis(Topic.DATABASE, Grade.FINE, f"{location.shown} answers", values={"path": None}))
        tell(of_timeline(await read_timeline(database)))
    tell(of_schema(schema, location.shown))
    if schema.revision != schema.needed:
        return _unread(tell, "the tables are of another revision")
    try:
        runs, claims = await _in_time(run_facts(database, context.watcher())), await _in_time(claim_facts(database))
    except StoreError as error:
        tell(diagnose_error(Topic.LEASE, error))
        return None
    for diagnosis in (*of_runs(runs, context.clock.now()), *of_claims(claims)):
        tell(diagnosis)
    return database


def _unread(tell: OnDiagnosis, why: str, *topics: Topic) -> None:
    for topic in (*topics, *_TABLES):
        tell(diagnose_skipped(topic, why))


async def _file_serves(path: Path, named: str | None, clock: Clock, tell: OnDiagnosis) -> bool:
    """Report the checks of the file; return whether it is there and can be opened."""
    # A network file system may hang, and then so does the thread that asks it.
    try:
        facts = await _in_time(run_abandonable(partial(file_facts, path)))
    except StoreError as error:
        tell(diagnose_error(Topic.DATABASE, error))
        return False
    diagnoses = of_file(replace(facts, named_by=named))
    for diagnosis in diagnoses:
        tell(diagnosis)
    if facts.size_bytes is None or any(
        diagnosis.grade is Grade.BROKEN for diagnosis in diagnoses if diagnosis.topic is Topic.DATABASE
    ):
        return False
    try:
        backup = await _in_time(run_abandonable(partial(_backup, path)))
    except StoreError as error:
        tell(diagnose_skipped(Topic.BACKUP, error.message))
        return True
    tell(of_backup(*backup, clock.now()))
    return True


def _backup(path: Path) -> tuple[str | None, datetime | None]:
    """Return the newest sound copy beside the database, and when it was made."""
    copy = newest_backup(path)
    return (None, None) if copy is None else (str(copy), datetime.fromtimestamp(copy.stat().st_mtime, UTC))


async def _is_sound(database: Database, tell: OnDiagnosis) -> bool:
    try:
        await _in_time(check_integrity(database))
    except StoreError as error:
        tell(diagnose_error(Topic.INTEGRITY, error))
        return False
    hint = "fleetos db check holds every journal against its tables too"
    tell(Diagnosis(Topic.INTEGRITY, Grade.FINE, "the file is built as it should be", hint))
    return True


async def _in_time(work: Awaitable[T]) -> T:
    """Return the result of the work. Raise DatabaseUnusable after DATABASE_EXAMINED_WITHIN_S, and what it raises."""
    try:
        with anyio.fail_after(DATABASE_EXAMINED_WITHIN_S):
            return await work
    except StoreError as error:
        error.hint = error.hint or "see to it that the database can be read and written"
        raise
    except TimeoutError:
        raise DatabaseUnusable(f"the database did not answer within {DATABASE_EXAMINED_WITHIN_S:g} s") from None
