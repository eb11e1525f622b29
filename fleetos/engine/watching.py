"""The changes under way together: how old they are, how long others took, and when they are worth the next sweep."""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from fleetos.clock import Moment
from fleetos.limits import DURATIONS_KEPT, FOLLOW_PART, FRESH_READ_MAX_AGE_S, LEAD, MOST_HAVE_STOPPED
from fleetos.model.events import JobEnded, PowerAnswered, RunMoved, TargetEvent
from fleetos.model.experience import NONE, Experience
from fleetos.model.inventory import Job, JobStatus
from fleetos.model.run import PowerOutcome, Settings, Target
from fleetos.model.states import TargetState
from fleetos.rules import polling
from fleetos.rules.forecast import Forecast


def change_key(target: Target) -> str:
    """Which changes are like this target's, so that their durations are worth comparing."""
    return target.order.image_id


class Watching:
    """What is known of the changes of one run, and what was learned of their cloud in it and before it.

    `since_s` holds, for each that runs, when it began on the elapsed clock.

    `stop_s`: by when most stops have ended, None while none has. `beat_at_s`: when those who follow the sweep are to
    be seen next, None while nobody does.
    """

    def __init__(self, experience: Experience = NONE, keys: Iterable[str] = ()) -> None:
        self.experience = experience
        self.since_s: dict[str, float] = {}
        self.by_sweep = False
        self.beat_at_s: float | None = None
        self.swept_s = 0.0
        before_s = (seconds for key in keys for seconds in experience.changes.get(key, ()))
        self._ended_s: deque[float] = deque(before_s, maxlen=DURATIONS_KEPT)
        self._stops_s: deque[float] = deque(experience.stops_s, maxlen=DURATIONS_KEPT)
        self.forecast = Forecast.of(self._ended_s)
        self.stop_s = Forecast.of(self._stops_s).by_s(MOST_HAVE_STOPPED)

    @property
    def shows_change(self) -> bool | None:
        """Whether servers are seen changing on this cloud, None: not known yet."""
        return self.experience.shows_change

    def found(self, target: Target, now: Moment) -> None:
        """Enters a target that an earlier process left under way."""
        if target.state is TargetState.CHANGING and target.attempt is not None:
            accepted = target.attempt.accepted_at or target.attempt.sent_at
            self.since_s[target.server_id] = now.elapsed_s - max(0.0, (now.wall - accepted).total_seconds())

    def follow(self, before: Target, after: Target, now: Moment) -> None:
        """Enters that a target moved."""
        if after.state is not TargetState.CHANGING:
            self.since_s.pop(after.server_id, None)
        elif before.state is not TargetState.CHANGING:
            self.since_s[after.server_id] = now.elapsed_s

    def learn(self, target: Target, event: TargetEvent | RunMoved, job: Job) -> None:
        """Enters how long a change or a stop took by the cloud's own clock, when its job is seen to have ended."""
        part = job.part_of(target.server_id)
        took_s = job.took_s if part is None else part.took_s
        if took_s is None:
            return
        match event:
            case JobEnded(status=JobStatus.SUCCESS):
                self._ended_s.append(took_s)
                self.experience = self.experience.with_change(change_key(target), took_s)
            case PowerAnswered(outcome=PowerOutcome.ENDED, code=None) if _is_stop(target, event.call_id):
                self._stops_s.append(took_s)
                self.stop_s = Forecast.of(self._stops_s).by_s(MOST_HAVE_STOPPED)
                self.experience = self.experience.with_stop(took_s)
            case _:
                pass

    def lasted(self, seconds: float, *, shown: bool | None) -> None:
        """Enters a change that this process saw from end to end, and whether its server was ever seen changing."""
        longest_s = max(self.experience.longest_change_s, seconds)
        self.experience = replace(self.experience, longest_change_s=longest_s)
        if shown is not None and self.shows_change is None:
            self.experience = self.experience.with_picture(shown=shown)

    def seen_changing(self) -> None:
        """Enters that a server is seen changing."""
        if not self.shows_change:
            self.experience = self.experience.with_picture(shown=True)

    def ages_s(self, now: Moment) -> list[float]:
        """The ages of all changes that run."""
        return [now.elapsed_s - since_s for since_s in self.since_s.values()]

    def swept(self, now: Moment, settings: Settings, fraction: float) -> None:
        """Enters that all who follow are being swept, and sets the next beat by what is known now."""
        ages_s = self.ages_s(now)
        self.forecast = Forecast.of(self._ended_s, ages_s)
        self.swept_s = now.elapsed_s
        self.beat_at_s = now.elapsed_s + polling.beat_s(self.forecast, ages_s, settings, fraction)

    def soon(self, now: Moment) -> float:
        """How many changes are expected to end before a server that is stopped now is ready."""
        if self.stop_s is None or not self.forecast.known:
            return 0.0
        return self.forecast.expected(self.ages_s(now), self.stop_s * LEAD)

    def hurry(self, settings: Settings) -> None:
        """Sets the beat so that those who follow for another reason than a change do not wait for long."""
        if self.beat_at_s is not None:
            in_s = min(settings.poll_max_s, FRESH_READ_MAX_AGE_S) * FOLLOW_PART if self.since_s else settings.poll_min_s
            self.beat_at_s = min(self.beat_at_s, self.swept_s + in_s)


def _is_stop(target: Target, call_id: str) -> bool:
    return any(call.id == call_id and call.verb == "stop" for call in target.calls)
