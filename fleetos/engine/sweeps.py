"""Sweep planner: sweep or poll, when the next sweep is due, and whom it covers.

It also knows which reads are in flight, so that nothing is read twice at a time. It plans reads and sends none.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fleetos.clock import Moment
from fleetos.engine.agenda import Agenda
from fleetos.engine.change_tracker import ChangeTracker
from fleetos.ids import Chance
from fleetos.limits import FRESH_READ_MAX_AGE_S
from fleetos.model.plan import StopMode
from fleetos.model.run import Settings
from fleetos.rules import polling
from fleetos.rules.admission.lanes import Lanes

# A server that is being verified, or waits stopped for a slot, is read at least this often (share of polling.max).
FOLLOWER_MAX_AGE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class SweepBatch:
    """Servers of one sweep: those that need it, and those next in the queue that fit on its pages."""

    server_ids: tuple[str, ...]
    queued: tuple[str, ...]


class SweepPlanner:
    """Plan of the reads of one run. `sweep_calls` returns the number of requests that a sweep of some servers takes."""

    def __init__(
        self,
        changes: ChangeTracker,
        agenda: Agenda,
        lanes: Lanes,
        sweep_calls: Callable[[int], int],
        chance: Chance,
        poll_s: float,
    ) -> None:
        self._changes = changes
        self._agenda = agenda
        self._lanes = lanes
        self._calls = sweep_calls
        self._chance = chance
        self._poll_s = poll_s
        self._by_sweep = False
        self._next_sweep_at_s: float | None = None
        self._last_sweep_at_s = 0.0
        self._sweep_queue: list[str] = []
        self._sweep_in_flight: set[str] = set()
        # They wait for a sweep for another reason than a running change: it must come soon.
        self._sweep_followers: dict[str, None] = {}
        self._reads_in_flight: set[str] = set()
        self._joined: dict[str, dict[str, None]] = {}

    @property
    def poll_s(self) -> float:
        """Seconds between two polls of one server or job."""
        return self._poll_s

    @property
    def by_sweep(self) -> bool:
        """Method by which changes are watched: True for sweeps, False for the job of each."""
        return self._by_sweep

    @property
    def next_due_s(self) -> float | None:
        """Due time of the next sweep on the elapsed clock; None while one is in flight, or without followers."""
        return None if self._sweep_in_flight else self._next_sweep_at_s

    def set_poll_interval(self, outstanding: int, reads_per_s: float | None, settings: Settings) -> None:
        """Space the polls so that those of all `outstanding` targets stay within the read budget."""
        self._poll_s = polling.poll_interval_s(outstanding, reads_per_s, settings, self._chance.fraction())

    def choose_method(self) -> bool:
        """Watch changes by sweeps where that takes fewer requests than asking each job. Return whether this changed."""
        running, before = len(self._changes.began_s), self._by_sweep
        self._by_sweep = running > self._calls(running)
        return self._by_sweep is not before

    def follow(self, server_id: str, *, waiting: bool) -> None:
        """Add, or with `waiting` False remove, a server that waits for a sweep and not for a change to end."""
        if waiting:
            self._sweep_followers[server_id] = None
        else:
            self._sweep_followers.pop(server_id, None)

    def start_reads(self, reads: Iterable[polling.DueRead]) -> Iterator[polling.DueRead]:
        """Yield the reads to send now; they are in flight then. Servers to be swept wait for the next sweep."""
        for read in reads:
            match read:
                case polling.Sweep():
                    self._enqueue(self._not_in_flight(read.server_ids))
                case polling.ReadJob(job_id=key) if key in self._reads_in_flight:
                    self._joined.setdefault(key, {}).update(dict.fromkeys(read.server_ids))
                case polling.ReadServer(server_id=key) | polling.ReadJob(job_id=key):
                    yield from self._start_once(key, read)
                case polling.ReadTraces():
                    yield from self._start_once(_traces_key(read.server_id), read)

    def schedule(self, now: Moment, settings: Settings) -> None:
        """Enqueue the followers when their time has come.

        Those that may show something new are enqueued; the others come along where they fit. Where it is time for none
        of them, all are enqueued: a change that fails may end earlier than any that succeeded.
        """
        following = self._agenda.followers
        if not following:
            self._next_sweep_at_s = None
            return
        if self._next_sweep_at_s is None:
            self._changes.update_forecasts(now)
            self._sweep_sent(self._calls(len(following)), now, settings)
        if self._sweep_followers:
            self._advance_sweep(settings)
        if self.next_due_s is None or now.elapsed_s < self.next_due_s:
            return
        self._changes.update_forecasts(now)
        others = self._not_in_flight(following)
        due = self._may_have_ended(others, now) or others
        if not due and not self._sweep_queue:
            # All of them are being read already; a sweep that stays due would make the engine turn without a pause.
            self._sweep_sent(self._calls(len(following)), now, settings)
        self._enqueue(due)

    def next_batch(self, now: Moment, settings: Settings) -> SweepBatch | None:
        """Return the sweep of all that wait for one, which is in flight from now on; None while there is nothing to do.

        One at a time: what comes due meanwhile shares the pages of the next. Where that takes no request more,
        followers that may show something new come along, then the next servers in the queue, then all other followers.
        """
        if not self._sweep_queue or self._sweep_in_flight:
            return None
        wanted, self._sweep_queue = dict.fromkeys(self._sweep_queue), []
        calls, queued = self._calls(len(wanted)), list[str]()

        def fits(candidates: list[str]) -> list[str]:
            covered = len(wanted) + len(queued)
            return candidates[
                : bisect_right(range(len(candidates)), calls, key=lambda place: self._calls(covered + place + 1))
            ]

        others = [server_id for server_id in self._not_in_flight(self._agenda.followers) if server_id not in wanted]
        ending = self._may_have_ended(others, now)
        wanted.update(dict.fromkeys(fits(ending)))
        if wanted.keys() >= set(ending):
            self._changes.update_forecasts(now)
            self._sweep_sent(calls, now, settings)
        queued = fits(self._next_in_queue(now)) if settings.stop is not StopMode.API else []
        wanted.update(dict.fromkeys(fits([server_id for server_id in others if server_id not in wanted])))
        self._reads_in_flight.update(wanted)
        self._sweep_in_flight.update(wanted)
        return SweepBatch(tuple(wanted), tuple(queued))

    def finish_servers(self, server_ids: Iterable[str]) -> None:
        """Record that the reads of these servers are over, whether they showed anything or not."""
        self._reads_in_flight.difference_update(server_ids)
        self._sweep_in_flight.difference_update(server_ids)

    def finish_traces(self, server_id: str) -> None:
        """Record that the read of the server's traces is over."""
        self._reads_in_flight.discard(_traces_key(server_id))

    def finish_job(self, job_id: str, server_ids: Iterable[str]) -> list[str]:
        """Record that the read of a job is over; return its targets, those that joined it in flight included."""
        self._reads_in_flight.discard(job_id)
        return list(dict.fromkeys((*server_ids, *self._joined.pop(job_id, {}))))

    def _enqueue(self, server_ids: Sequence[str]) -> None:
        self._sweep_queue += server_ids
        self._reads_in_flight.update(server_ids)

    def _not_in_flight(self, server_ids: Iterable[str]) -> list[str]:
        return [server_id for server_id in server_ids if server_id not in self._reads_in_flight]

    def _start_once(self, key: str, read: polling.DueRead) -> Iterator[polling.DueRead]:
        if key not in self._reads_in_flight:
            self._reads_in_flight.add(key)
            yield read

    def _sweep_sent(self, calls: int, now: Moment, settings: Settings) -> None:
        """Set the time of the next sweep, since this one, which takes `calls` requests, shows all followers."""
        self._last_sweep_at_s = now.elapsed_s
        in_s = polling.sweep_interval_s(self._changes.running_changes(now), calls, settings, self._chance.fraction())
        self._next_sweep_at_s = now.elapsed_s + in_s

    def _advance_sweep(self, settings: Settings) -> None:
        """Advance the next sweep for followers that wait for another reason than a change."""
        if self._next_sweep_at_s is not None:
            followed_s = min(settings.poll_max_s, FRESH_READ_MAX_AGE_S) * FOLLOWER_MAX_AGE_SHARE
            in_s = followed_s if self._changes.began_s else settings.poll_min_s
            self._next_sweep_at_s = min(self._next_sweep_at_s, self._last_sweep_at_s + in_s)

    def _may_have_ended(self, server_ids: Iterable[str], now: Moment) -> list[str]:
        """Return those of the servers that may show something new."""
        return [server_id for server_id in server_ids if self._changes.may_have_ended(server_id, now)]

    def _next_in_queue(self, now: Moment) -> list[str]:
        """Return the servers that may be admitted before the next sweep: once observed, they can be stopped then."""
        soon = math.ceil(2 * self._changes.slots_freed_soon(now)) if self._by_sweep else 0
        return self._not_in_flight(self._lanes.first_due(soon, now.wall))


def _traces_key(server_id: str) -> str:
    """Mark of a read of the server's traces in flight; no id of the cloud looks like it."""
    return f"traces of {server_id}"
