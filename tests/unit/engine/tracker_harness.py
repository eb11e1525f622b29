"""Turns of the engine over changes under way, at plain seconds and without a cloud."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from fleetos.engine import reconcile
from fleetos.engine.change_tracker import ChangeTracker
from fleetos.engine.facts import JobRead, ServerRead, ServersNotRead
from fleetos.engine.judge import Judge
from fleetos.engine.tracker import Tracker
from fleetos.model.experience import NO_EXPERIENCE
from fleetos.model.inventory import Job, JobStatus, ServerSnapshot
from fleetos.model.journal.events import JobEnded, PowerAnswered
from fleetos.model.progress import Progress
from fleetos.model.run import PowerCall, PowerOutcome, Settings, Target
from fleetos.model.states import TargetState
from fleetos.rules.forecast import Forecast
from fleetos.rules.polling import DueRead
from tests.support.builders import SETTINGS, START, a_run, a_target, an_attempt
from tests.support.chance import SeededChance
from tests.unit.rules.contexts import moment, sight

S = TargetState


def one_page(servers: int) -> int:
    """A cloud whose list has one page."""
    return min(servers, 1)


def full_at_five(servers: int) -> int:
    """A cloud that shows five servers with one request, and more with three."""
    return 1 if servers <= 5 else 3


def name(number: int) -> str:
    return f"server-{number:04}"


def changing(number: int, **changes: object) -> Target:
    sent = an_attempt(accepted_at=START, job_id=f"job-{number}")
    return replace(a_target(number, state=S.CHANGING, attempts=(sent,)), **changes)


class TrackerHarness:
    """Turns of the ring at plain seconds, without a cloud."""

    def __init__(self, *targets: Target, settings: Settings = SETTINGS, calls: Callable[[int], int] = one_page) -> None:
        self.progress = Progress(a_run(settings=settings), targets)
        self.calls = calls
        self.books = Tracker(self.progress, SeededChance(1), moment(0), NO_EXPERIENCE, self._sweep_calls)
        self.judge = Judge(self.books)
        for target in targets:
            if target.state not in (S.WAITING, S.BACKOFF):
                self.books.adopt(target.server_id)

    def _sweep_calls(self, servers: int) -> int:
        return self.calls(servers)

    def turn(self, at_s: float, *facts: ServerRead | ServersNotRead | JobRead) -> list[DueRead]:
        """The reads of a turn that takes these facts."""
        turn = self.books.begin_turn(moment(at_s))
        self.judge.judge_facts(turn, facts)
        reads = reconcile.reconcile(self.books, turn, None)
        self.progress.update_targets(turn.run, list(turn.changed.values()))
        return reads

    def beat(self) -> float:
        """When the ring turns next, in seconds."""
        due_s = reconcile.next_due_s(self.books, self.books.now)
        assert due_s is not None
        return due_s - moment(0).elapsed_s

    def state(self, number: int) -> TargetState:
        return self.progress.targets[name(number)].state


def seen(at_s: float, pictures: Mapping[int, ServerSnapshot]) -> list[ServerRead]:
    return [ServerRead(name(number), replace(sight(at_s, one), single=False)) for number, one in pictures.items()]


def next_in_line(settings: Settings = SETTINGS) -> TrackerHarness:
    """Five changes, of which few end from their 370th second on and all by their 400th, and two servers that wait."""
    harness = TrackerHarness(*map(changing, range(1, 6)), a_target(8), a_target(9), settings=settings)
    harness.turn(0)
    for change_s in (*[370.0] * 3, *[400.0] * 17):
        learn(harness.books.changes, change_s, 20.0)
    return harness


def learn(watch: ChangeTracker, change_s: float, stop_s: float) -> None:
    done = Job("job-1", JobStatus.SUCCESS, took_s=change_s)
    watch.record_job_duration(changing(1), JobEnded(name(1), 1, "job-1", JobStatus.SUCCESS), done)
    call = PowerCall("call-1", "stop", hard=False, size=1, intended_at=START)
    stopped = Job("stop-1", JobStatus.SUCCESS, took_s=stop_s)
    watch.record_job_duration(a_target(calls=(call,)), PowerAnswered(name(1), "call-1", PowerOutcome.ENDED), stopped)


def sweep_at(harness: TrackerHarness, at_s: float) -> None:
    """Let the next sweep be due at that second."""
    harness.books.sweeps._next_sweep_at_s = moment(at_s).elapsed_s


def foresee(watch: ChangeTracker, forecast: Forecast) -> None:
    """Let this be known of changes of every kind."""
    watch.forecast, watch._forecasts = forecast, {}
