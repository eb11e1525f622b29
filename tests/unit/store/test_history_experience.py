"""What is remembered of clouds, by scope, and by several who end at once."""

from itertools import pairwise

import anyio
import pytest
from sqlalchemy import text

from fleetos.errors import DatabaseUnusable
from fleetos.model.experience import CHANGES_REMEMBERED, NO_EXPERIENCE, Experience, Limit
from fleetos.store import history
from fleetos.store.connect import open_database
from fleetos.store.database.database import Database
from tests.support.builders import START
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import watcher

SCOPE = "https://ecs.example.com project"


async def test_a_cloud_is_remembered_by_its_scope(database: Database) -> None:
    assert await history.experience(database, SCOPE) == NO_EXPERIENCE
    seen = NO_EXPERIENCE.with_change("image-a", 300.5).with_stop(12.0).with_change_shown(shown=False)
    seen = seen.with_limits({"read": Limit(2.0, 4.0, START)})
    await history.add_experience(database, SCOPE, seen)
    await history.add_experience(database, "another", NO_EXPERIENCE.with_change("image-a", 7.0))
    assert await history.experience(database, SCOPE) == seen
    assert (await history.experience(database, "another")).longest_change_s == 7.0


async def test_run_after_run_adds_what_it_has_seen(database: Database) -> None:
    began = NO_EXPERIENCE
    for number in range(5):
        ended = began
        for more in range(20):
            ended = ended.with_change("image-a", 100.0 + 20 * number + more)
        await history.add_experience(database, SCOPE, ended, began)
        began = await history.experience(database, SCOPE)
        assert began == ended
    durations = began.changes["image-a"]
    assert len(durations) == CHANGES_REMEMBERED
    assert all(two - one == 1 for one, two in pairwise(durations))
    assert began.longest_change_s == durations[-1] == 199.0


async def test_two_that_end_at_once_lose_nothing(database: Database, clock: ManualClock) -> None:
    other = await open_database(database.location, watcher(clock))

    async def remember(where: Database, seen: Experience) -> None:
        await history.add_experience(where, SCOPE, seen)

    async with anyio.create_task_group() as both:
        both.start_soon(remember, database, NO_EXPERIENCE.with_change("image-a", 300.0).with_change("image-b", 20.0))
        both.start_soon(remember, other, NO_EXPERIENCE.with_change("image-a", 100.0).with_stop(9.0))
    await other.close()
    kept = await history.experience(database, SCOPE)
    assert {key: sorted(durations) for key, durations in kept.changes.items()} == {
        "image-a": [100.0, 300.0],
        "image-b": [20.0],
    }
    assert kept.longest_change_s == 300.0
    assert kept.stops_s == (9.0,)


@pytest.mark.parametrize(
    "body", ["", "5", "[]", '{"lasted_s": [1e12]}', '{"limits": {"read": [1, 2]}}', '{"stops_s": [-1]}']
)
async def test_what_cannot_have_been_learned_is_refused_and_left_as_it_is(database: Database, body: str) -> None:
    await history.add_experience(database, SCOPE, NO_EXPERIENCE.with_stop(1.0))
    async with database.writing() as connection:
        await connection.execute(text("UPDATE clouds SET body = :body"), {"body": body})
    with pytest.raises(DatabaseUnusable):
        await history.experience(database, SCOPE)
    with pytest.raises(DatabaseUnusable):
        await history.add_experience(database, SCOPE, NO_EXPERIENCE.with_stop(2.0))
    async with database.reading() as connection:
        assert await connection.rows("SELECT body FROM clouds") == [(body,)]
