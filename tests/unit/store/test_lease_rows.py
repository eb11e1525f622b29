"""Lists and messages show who probably drives a run."""

import pytest

from fleetos.limits import LEASE_TERM_S
from fleetos.store import queries, runs
from fleetos.store.database.database import Database
from fleetos.store.lease_rows import LeaseRequester, probable_life, read_lease
from fleetos.store.process import Holder, Life, this_process
from tests.support.builders import START, a_run, some_targets
from tests.support.clocks import ManualClock
from tests.unit.store.stored_runs import dead_process, foreign_process, watcher

RUN = a_run()


@pytest.mark.parametrize(
    ("me", "age_s", "life"),
    [
        (this_process(), 1000.0, Life.ALIVE),
        (dead_process(), 0.0, None),
        (foreign_process(), LEASE_TERM_S - 1, Life.ELSEWHERE),
        (foreign_process(), LEASE_TERM_S + 1, None),
    ],
)
async def test_lists_show_who_drives(
    sqlite: Database, clock: ManualClock, me: Holder, age_s: float, life: Life
) -> None:
    await runs.create_run(sqlite, RUN, some_targets(1), [], START, watcher(clock, me))
    clock.move(age_s)
    asking: LeaseRequester = watcher(clock)
    (shown,) = await queries.newest_runs(sqlite, asking)
    assert (shown.driver and shown.driver.life) == life
    # Who vanished is told as well, with the last sign of life.
    assert (shown.lost and shown.lost.life) == (Life.DEAD if life is None else None)
    assert [one.renewed_at for one in (shown.driver, shown.lost) if one is not None] == [START]
    async with sqlite.reading() as connection:
        assert probable_life(await read_lease(connection, RUN.id, clock), asking.me) == life
