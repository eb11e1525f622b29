"""Ages and durations of running changes, and forecasts from them."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice

from fleetos.clock import Moment
from fleetos.limits import FRESH_READ_MAX_AGE_S
from fleetos.model.experience import NO_EXPERIENCE, Experience, image_id_of, settle_s
from fleetos.model.inventory import Job, JobStatus
from fleetos.model.journal.events import JobEnded, PowerAnswered, RunMoved, TargetEvent
from fleetos.model.run import PowerOutcome, Settings, Target
from fleetos.model.states import TargetState
from fleetos.rules.forecast import NOTHING_KNOWN, ChangeGroup, Forecast, RunningChanges

# Time from a stop to a server that is known to be ready, as a multiple of the time in which most stops end: the job is
# read by then, and a sweep follows.
STOP_LEAD_FACTOR = 1.6
# The job of a stop is read at the age by which this share of stops has ended.
MOST_HAVE_STOPPED = 0.98
# Number of latest durations from which the next ones are forecast.
DURATION_SAMPLES_MAX = 256
# A kind of changes with this many ends has a forecast of its own; the others share the forecast of all changes.
GROUP_SAMPLES_MIN = 8
# A change below this share of the shortest known duration need not be read.
EARLIEST_END_SHARE = 0.8
# The number of changes that end soon is computed again after this share of the duration of a stop, at most a second.
SLOT_FORECAST_TTL_SHARE = 0.03
SLOT_FORECAST_TTL_MAX_S = 1.0
# Number of running changes, of all kinds, above which only every n-th is sampled: turns must not cost O(changes).
CHANGES_LOOKED_AT = 1_000


def change_key(target: Target) -> str:
    """Return the kind of change. Changes with one image on one flavor in one zone take about the same time."""
    return "/".join((target.order.image_id, target.flavor or "", target.az or ""))


class ChangeTracker:
    """Running changes of one run, and durations learned on their cloud, in this run and before it."""

    def __init__(self, experience: Experience = NO_EXPERIENCE, keys: Iterable[str] = ()) -> None:
        kinds = tuple(keys)
        self.experience = experience
        self._longest_s = experience.longest_change_s
        self.began_s: dict[str, float] = {}
        """When each running change began, on the elapsed clock."""
        self._kinds: dict[str, str] = {}
        self._ended_s: deque[float] = deque(_earlier_durations_s(experience, set(kinds)), maxlen=DURATION_SAMPLES_MAX)
        self._of_kind_s: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=DURATION_SAMPLES_MAX))
        for key in kinds:
            self._of_kind_s[key].extend(experience.changes.get(key, ()))
        self._stops_s: deque[float] = deque(experience.stops_s, maxlen=DURATION_SAMPLES_MAX)
        self.forecast = Forecast.of(self._ended_s)
        """Forecast of all kinds of changes together, for a kind of which too little is known."""
        self._forecasts = self._by_kind({}, 1)
        self._learned: dict[str, Forecast] = {}
        """Forecasts of changes by kind, and of stops without one, until another duration is recorded."""
        self._freed_soon = (0.0, 0.0)
        self.stop_duration_s = Forecast.of(self._stops_s).quantile_s(MOST_HAVE_STOPPED)
        """Time within which most stops have ended; None while none has."""

    @property
    def shows_change(self) -> bool | None:
        """True if servers are seen changing on this cloud; None: not known yet."""
        return self.experience.shows_change

    def settle_s(self, settings: Settings) -> float:
        """Return how long an unknown outcome is watched. It only grows while a run goes on."""
        return settle_s(settings.settle_s, self._longest_s, settings.change_timeout_s)

    def adopt(self, target: Target, now: Moment) -> None:
        """Add the change of a target that an earlier process left under way."""
        if target.state is TargetState.CHANGING and target.attempt is not None:
            accepted = target.attempt.accepted_at or target.attempt.sent_at
            self.began_s[target.server_id] = now.elapsed_s - max(0.0, (now.wall - accepted).total_seconds())
            self._kinds[target.server_id] = change_key(target)

    def record_move(self, before: Target, after: Target, now: Moment) -> None:
        """Record that a target moved."""
        if after.state is not TargetState.CHANGING:
            self.began_s.pop(after.server_id, None)
            self._kinds.pop(after.server_id, None)
        elif before.state is not TargetState.CHANGING:
            self.began_s[after.server_id] = now.elapsed_s
            self._kinds[after.server_id] = change_key(after)

    def record_job_duration(self, target: Target, event: TargetEvent | RunMoved, job: Job) -> None:
        """Record how long a change or a stop took by the cloud's own clock, when its job is seen to have ended."""
        part = job.sub_job_of(target.server_id)
        took_s = job.took_s if part is None else part.took_s
        if took_s is None:
            return
        self._learned.clear()
        match event:
            case JobEnded(status=JobStatus.SUCCESS):
                key = change_key(target)
                self._longest_s = max(self._longest_s, took_s)
                self._ended_s.append(took_s)
                self._of_kind_s[key].append(took_s)
                self.experience = self.experience.with_change(key, took_s)
            case PowerAnswered(outcome=PowerOutcome.ENDED, code=None) if _is_stop(target, event.call_id):
                self._stops_s.append(took_s)
                self.stop_duration_s = Forecast.of(self._stops_s).quantile_s(MOST_HAVE_STOPPED)
                self.experience = self.experience.with_stop(took_s)
            case _:
                pass

    def record_change_duration(self, seconds: float, *, shown: bool | None) -> None:
        """Record a change that this process saw from end to end, and whether its server was ever seen changing."""
        self._longest_s = max(self._longest_s, seconds)
        self.experience = self.experience.with_lasted(seconds)
        if shown is not None and self.shows_change is None:
            self.experience = self.experience.with_change_shown(shown=shown)

    def record_seen_changing(self) -> None:
        """Record that a server is seen changing."""
        if not self.shows_change:
            self.experience = self.experience.with_change_shown(shown=True)

    def forecast_of(self, target: Target) -> Forecast:
        """Return the forecast for changes like this target's."""
        return self._forecasts.get(change_key(target), self.forecast)

    def learned_changes(self, key: str) -> Forecast:
        """Return the forecast from the changes of that kind alone; nothing is known before one has ended."""
        if key not in self._of_kind_s:
            return NOTHING_KNOWN
        return self._learned.get(key) or self._learned.setdefault(key, Forecast.of(self._of_kind_s[key]))

    def learned_stops(self) -> Forecast:
        """Return the forecast of stops."""
        return self._learned.get("") or self._learned.setdefault("", Forecast.of(self._stops_s))

    def may_have_ended(self, server_id: str, now: Moment) -> bool:
        """Return False for a change that is younger than all of its kind that ended; True for every other server.

        A change of which no forecast says anything may have ended, too.
        """
        since_s = self.began_s.get(server_id)
        first_s = self._forecasts.get(self._kinds.get(server_id, ""), self.forecast).shortest_s
        return since_s is None or first_s is None or now.elapsed_s - since_s >= first_s * EARLIEST_END_SHARE

    def running_changes(self, now: Moment) -> RunningChanges:
        """Return all running changes, by kind."""
        ages, each = self._ages_s(now)
        kinds = (
            ChangeGroup.of(self._forecasts.get(key, self.forecast), group_ages, each)
            for key, group_ages in ages.items()
        )
        return RunningChanges(tuple(kinds))

    def _ages_s(self, now: Moment) -> tuple[dict[str, list[float]], int]:
        """Return the ages of the running changes by kind, and the number of changes that each age stands for.

        Of very many changes only every n-th is looked at.
        """
        each = len(self.began_s) // CHANGES_LOOKED_AT + 1
        ages: defaultdict[str, list[float]] = defaultdict(list)
        for server_id, since_s in islice(self.began_s.items(), 0, None, each):
            ages[self._kinds.get(server_id, "")].append(now.elapsed_s - since_s)
        return ages, each

    def _by_kind(self, ages: Mapping[str, list[float]], each: int) -> dict[str, Forecast]:
        kinds = [(key, ended_s) for key, ended_s in self._of_kind_s.items() if len(ended_s) >= GROUP_SAMPLES_MIN]
        return {key: Forecast.of(ended_s, ages.get(key, ()), each) for key, ended_s in kinds}

    def update_forecasts(self, now: Moment) -> None:
        """Update the forecasts from all changes that ended and all that run now."""
        ages, each = self._ages_s(now)
        self.forecast = Forecast.of(self._ended_s, chain.from_iterable(ages.values()), each)
        self._forecasts = self._by_kind(ages, each)

    @property
    def stop_lead_s(self) -> float:
        """Time from a stop until the server is known to be ready; FRESH_READ_MAX_AGE_S while no stop is known."""
        return FRESH_READ_MAX_AGE_S if self.stop_duration_s is None else self.stop_duration_s * STOP_LEAD_FACTOR

    def slots_freed_soon(self, now: Moment) -> float:
        """Return how many changes are expected to end before a server that is stopped now is ready.

        The number is kept for a moment: all ages are looked at for it, and there are many turns a second.
        """
        if self.stop_duration_s is None or not self.forecast.known:
            return 0.0
        freed, until_s = self._freed_soon
        if now.elapsed_s >= until_s:
            freed = self.running_changes(now).expected_ends(self.stop_lead_s)
            self._freed_soon = (
                freed,
                now.elapsed_s + min(self.stop_duration_s * SLOT_FORECAST_TTL_SHARE, SLOT_FORECAST_TTL_MAX_S),
            )
        return freed


def _earlier_durations_s(experience: Experience, keys: set[str]) -> Iterator[float]:
    """Yield the durations of changes of these kinds; for a kind that is new, of all others with its image."""
    known = keys & experience.changes.keys()
    images = {image_id_of(key) for key in keys - known}
    for key, durations in experience.changes.items():
        if key in known or image_id_of(key) in images:
            yield from durations


def _is_stop(target: Target, call_id: str) -> bool:
    return any(call.id == call_id and call.verb == "stop" for call in target.calls)
