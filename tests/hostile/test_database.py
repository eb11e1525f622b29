"""Rows that somebody else wrote: they are read back, or refused as what they are, and a check names them."""

import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given

from fleetos.errors import FleetosError
from fleetos.model.experience import NO_EXPERIENCE, Limit, merge_experience
from fleetos.model.journal.codec import (
    event_from_json,
    event_json,
    experience_from_json,
    experience_json,
    run_from_json,
    run_json,
    target_from_json,
    target_json,
)
from fleetos.model.journal.events import Enlisted, Event, Record, RunCreated
from fleetos.model.journal.requests import RequestKind
from fleetos.model.progress import Progress, replay
from fleetos.store import history, queries, runs
from fleetos.store.connect import open_database
from fleetos.store.database.database import Database
from fleetos.store.database.location import locate
from fleetos.store.integrity import find_problems
from fleetos.views.documents.events import event_document
from fleetos.views.documents.run import status_document
from fleetos.views.terminal.status import Status, status_screen
from fleetos.views.terminal.tables import event_text
from tests.support.builders import START, a_run, a_target, some_targets
from tests.support.clocks import ManualClock
from tests.support.databases import sqlite_file
from tests.support.hostile_values import mangled, randoms, spoiled
from tests.support.seeded_examples import SEED, examples
from tests.unit.store.stored_runs import folded, foreign_process, path_to_done, path_to_failed, path_to_unknown, watcher

VALUES: tuple[Any, ...] = (
    *(
        5,
        -1,
        1.5,
        float("inf"),
        2**63 - 1,
        b"\xff\x00",
        "",
        "\x1b[31m",
        "x" * 5000,
        "{}",
        "[]",
        "null",
        '{"a": 1}',
        "NaN",
    ),
    *("2026-01-01T00:00:00", "2026-01-01T00:00:00+01:00", "0001-01-01T00:00:00+23:59", "\u202e", "9999"),
)
COLUMNS = {
    "runs": ("name", "digest", "state", "created_at", "body"),
    "targets": (
        "server_id",
        "position",
        "name",
        "state",
        "attempt",
        "job_id",
        "disk",
        "touched_at",
        "doubtful",
        "body",
    ),
    "records": ("seq", "at", "server_id", "kind", "body"),
    "requests": ("kind", "asked_by", "at", "done_at"),
    "leases": ("epoch", "beat", "holder", "renewed_s"),
    "claims": ("server_id", "unanswered_at"),
    "clouds": ("body",),
}
FAILED, UNKNOWN = path_to_failed("server-0002"), path_to_unknown("server-0001")
EVENTS: list[Event] = [
    RunCreated(a_run()),
    *(Enlisted(target) for target in some_targets(3)),
    *(*path_to_done("server-0000"), *UNKNOWN, *FAILED),
]
LEARNED = (
    NO_EXPERIENCE.with_change("image-new", 100.0)
    .with_stop(20.0)
    .with_change_shown(shown=True)
    .with_limits({"read": Limit(2.0, 4.0, START)})
)
TARGETS = [folded(a_target(1), UNKNOWN, START), folded(a_target(2), FAILED, START)]


@dataclass(frozen=True)
class StoredRun:
    """A database with one run, as a file, open, and on a clock that stands still."""

    path: Path
    database: Database
    clock: ManualClock

    def write(self, statement: str, *values: Any) -> None:
        """Does it to the file behind fleetos' back."""
        with closing(sqlite3.connect(self.path)) as other:
            other.execute(statement, values)
            other.commit()

    def reads(self) -> tuple[Callable[[], Awaitable[object]], ...]:
        """Everything that a command may ask."""
        database, run_id, mine = self.database, a_run().id, watcher(self.clock)
        ids = ["server-0000", "server-0001"]
        return (
            lambda: queries.newest_runs(database, mine),
            lambda: queries.unfinished_runs(database, mine),
            lambda: queries.find_run(database, run_id[:3]),
            lambda: queries.load(database, run_id),
            lambda: queries.events(database, run_id),
            lambda: history.bad_attempts(database, ids),
            lambda: history.unanswered_sends(database, ids),
            lambda: history.holders(database, ids),
            lambda: history.experience(database, "scope"),
            lambda: find_problems(database),
        )


async def kept_at(path: Path, clock: ManualClock) -> StoredRun:
    """A database with a run, a request, a memory of a send and of a cloud."""
    database = await open_database(locate(sqlite_file(path)), watcher(clock))
    await runs.create_run(database, a_run(), some_targets(2), [], START, watcher(clock, foreign_process()))
    await runs.add_request(database, a_run().id, RequestKind.ABORT, "me", START)
    await history.add_experience(database, "scope", LEARNED)
    kept = StoredRun(path, database, clock)
    kept.write("UPDATE claims SET unanswered_at = '2026-03-01T12:00:00.000000+00:00'")
    assert await find_problems(database) == []
    return kept


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE targets SET state = 'done' WHERE position = 1",
        "UPDATE targets SET touched_at = '2026-03-01T12:00:00.000000+00:00', job_id = 'j' WHERE position = 1",
        "UPDATE targets SET doubtful = 1 WHERE position = 1",
        "UPDATE runs SET digest = 'another'",
        "UPDATE leases SET holder = '{}'",
        "UPDATE requests SET kind = 'of-a-newer-version'",
        """UPDATE clouds SET body = '{"lasted_s": [-1]}'""",
    ],
)
async def test_a_check_finds_columns_that_say_something_else(tmp_path: Path, statement: str) -> None:
    kept = await kept_at(tmp_path / "fleetos.db", ManualClock())
    kept.write(statement)
    (problem,) = await find_problems(kept.database)
    assert problem.startswith("cloud scope" if "clouds" in statement else f"run {a_run().id}")
    assert ("server-0001" in problem) is ("targets" in statement)
    await kept.database.close()


async def refused(read: Callable[[], Awaitable[object]]) -> bool:
    """Whether it ended in an error of ours; any other fails the test."""
    try:
        await read()
    except FleetosError as error:
        return bool(error.message)
    return False


@pytest.mark.parametrize("table", COLUMNS)
async def test_every_column_may_hold_anything(tmp_path: Path, table: str) -> None:
    random = Random(f"{SEED} {table}")
    kept = await kept_at(tmp_path / "fleetos.db", ManualClock())
    with closing(sqlite3.connect(kept.path)) as other:
        rows = other.execute(f"SELECT rowid, * FROM {table}").fetchall()
        names = [column[0] for column in other.execute(f"SELECT rowid, * FROM {table}").description]
    assert not [read for read in kept.reads() if await refused(read)]
    for column in COLUMNS[table]:
        before = rows[0][names.index(column)]
        for value in random.sample(VALUES, 5):
            kept.write(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", value, rows[0][0])
            for read in kept.reads():
                await refused(read)
            kept.write(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", before, rows[0][0])
    assert not [read for read in kept.reads() if await refused(read)]
    await kept.database.close()


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        *(("UPDATE leases SET holder = ?", value) for value in ("", "{}", "5", b"\xff", '{"machine": 5}')),
        *(("UPDATE leases SET epoch = ?, holder = NULL", value) for value in ("x", b"\xff")),
        *(("UPDATE claims SET run_id = ?", value) for value in ("x", b"\xff")),
        *(("UPDATE claims SET unanswered_at = ?", value) for value in ("x", "2026-01-01T00:00:00")),
        *(("UPDATE runs SET state = ?", value) for value in ("x", b"\xff")),
        *(("UPDATE targets SET body = ?", value) for value in ("", "{}", b"\xff", "null")),
    ],
)
async def test_what_takes_a_run_refuses_what_it_cannot_read(tmp_path: Path, statement: str, value: object) -> None:
    clock = ManualClock()
    kept = await kept_at(tmp_path / "fleetos.db", clock)
    kept.write(statement, value)
    mine = watcher(clock)
    await refused(lambda: runs.create_run(kept.database, a_run(2), some_targets(1), [], START, mine))
    await refused(lambda: runs.take_run(kept.database, a_run().id, mine))
    await refused(lambda: runs.begin_pass(kept.database, a_run().id, [], START, mine))
    await kept.database.close()


def bodies(random: Random) -> tuple[str, str, str]:
    """A target, a run and an event as JSON to which something happened."""

    def body(text: str) -> str:
        data = json.dumps(spoiled(random, json.loads(text), most=2)).encode()
        return mangled(random, data, depths=(20, 2_000)).decode("utf-8", "replace")

    return (
        body(target_json(random.choice(TARGETS))),
        body(run_json(a_run())),
        body(event_json(random.choice(EVENTS))),
    )


@examples(50)
@given(randoms)
def test_a_body_is_a_value_that_can_be_kept_and_shown_or_none(random: Random) -> None:
    target_body, run_body, event_body = bodies(random)
    run, target = a_run(), TARGETS[0]
    try:
        target = target_from_json(target_body)
        assert target_from_json(target_json(target)) == target
    except ValueError:
        pass
    try:
        run = run_from_json(run_body)
        assert run_from_json(run_json(run)) == run
    except ValueError:
        pass
    progress = Progress(run, [target])
    json.dumps(status_document(progress, START))
    assert_shown(status_screen(Status(progress, None, START, 100), [target], 30).plain)
    try:
        event = event_from_json(event_body)
    except ValueError:
        return
    assert event_from_json(event_json(event)) == event
    record = Record(1, START, event)
    json.dumps(event_document(record, run.id))
    assert_shown(event_text(record, run.id, {}).plain)


@examples(30)
@given(randoms)
def test_an_experience_is_within_its_bounds_or_none(random: Random) -> None:
    data = json.dumps(spoiled(random, json.loads(experience_json(LEARNED)), most=2)).encode()
    try:
        learned = experience_from_json(mangled(random, data, depths=(20, 2_000)).decode("utf-8", "replace"))
    except ValueError:
        return
    more = learned.with_change("image-new", 1e9).with_stop(-1.0)
    assert experience_from_json(experience_json(more)) == more
    assert experience_from_json(experience_json(merge_experience(LEARNED, more, learned)))


def assert_shown(text: str) -> None:
    """Fails on what a terminal would obey."""
    assert all(letter == "\n" or letter.isprintable() for letter in text), ascii(text)


@examples(30)
@given(randoms)
def test_a_journal_that_somebody_edited_is_replayed_or_refused(random: Random) -> None:
    events = list(EVENTS)
    for _ in range(random.randint(1, 3)):
        match random.choice(["drop", "double", "swap", "edit", "edit"]):
            case "drop" if events:
                del events[random.randrange(len(events))]
            case "double":
                events.insert(random.randrange(len(events) + 1), random.choice(EVENTS))
            case "swap":
                random.shuffle(events)
            case _:
                try:
                    edited = event_from_json(
                        json.dumps(spoiled(random, json.loads(event_json(random.choice(EVENTS))), most=1))
                    )
                except ValueError:
                    continue
                events.insert(random.randrange(len(events) + 1), edited)
    try:
        progress = replay((START, event) for event in events)
    except (FleetosError, ValueError):
        return
    json.dumps(status_document(progress, START))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("12:00:00Z", "12:00:00"),
        ("12:00:00Z", "12:00:00+01:00"),
        ("30.0", "NaN"),
        ("30.0", "Infinity"),
        ("30.0", "1e999"),
    ],
)
def test_times_without_a_zone_and_endless_numbers_are_none(before: str, after: str) -> None:
    body = run_json(a_run())
    assert before in body
    with pytest.raises(ValueError, match="validation error"):
        run_from_json(body.replace(before, after))
