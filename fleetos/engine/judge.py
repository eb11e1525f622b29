"""Facts become events: what the cloud answered and showed is judged by the rules and written into the turn."""

from collections.abc import Iterable

from fleetos.clock import Moment
from fleetos.engine.facts import (
    ChangeReplied,
    CloudNotReached,
    Fact,
    JobNotRead,
    JobRead,
    OperatorRequested,
    PowerReplied,
    Refused,
    ServerRead,
    ServersNotRead,
    TracesNotRead,
    TracesRead,
)
from fleetos.engine.tracker import Tracker
from fleetos.engine.turn import Turn
from fleetos.limits import UNREACHABLE_FAILURES, UNREACHABLE_S
from fleetos.model.journal.events import RunMoved
from fleetos.model.journal.requests import RequestKind
from fleetos.model.states import QUEUED, Reason, RunState, TargetState
from fleetos.rules.replies import Events, change_answered, job_seen, power_answered

ReadFact = ServerRead | ServersNotRead | TracesRead | TracesNotRead | JobRead | JobNotRead


class Judge:
    """Judges facts for one run. `trouble` is set when an aborted run, which cannot pause, must be left alone."""

    def __init__(self, books: Tracker) -> None:
        self._books = books
        self._health = Health()
        self.trouble: Refused | None = None

    def take(self, turn: Turn, facts: Iterable[Fact]) -> None:
        """Judges the facts in their order."""
        for fact in facts:
            match fact:
                case ServerRead() | ServersNotRead() | TracesRead() | TracesNotRead() | JobRead() | JobNotRead():
                    self._read(turn, fact)
                case ChangeReplied():
                    self._write(turn, self._change(turn, fact))
                case PowerReplied():
                    for server_id in fact.server_ids:
                        self._write(turn, self._power(turn, fact, server_id))
                case Refused():
                    self._pause(turn, fact.reason, fact.detail)
                case CloudNotReached():
                    if self._health.failed(self._books.now):
                        self._pause(turn, Reason.UNREACHABLE, fact.detail)
                case OperatorRequested():
                    self._asked(turn, fact)

    def _read(self, turn: Turn, fact: ReadFact) -> None:
        books = self._books
        match fact:
            case ServerRead():
                self._health.answered()
                books.sweeps.finish_servers((fact.server_id,))
                books.add_observation(turn, fact.server_id, fact.sight)
            case ServersNotRead():
                books.sweeps.finish_servers(fact.server_ids)
                for server_id in fact.server_ids:
                    books.add_missed_read(server_id)
            case TracesRead():
                books.sweeps.finish_traces(fact.server_id)
                books.add_traces(fact)
            case TracesNotRead():
                books.sweeps.finish_traces(fact.server_id)
                books.add_missed_read(fact.server_id)
            case JobNotRead():
                for server_id in books.sweeps.finish_job(fact.job_id, fact.server_ids):
                    books.add_missed_read(server_id)
            case JobRead():
                self._health.answered()
                for server_id in books.sweeps.finish_job(fact.job_id, fact.server_ids):
                    self._job(turn, server_id, fact)

    def _job(self, turn: Turn, server_id: str, fact: JobRead) -> None:
        books = self._books
        if books.observations_of(server_id) is None:
            return
        books.add_job_read(server_id, goes_on=fact.job is not None and not fact.job.status_of(server_id).final)
        target = turn.target(server_id)
        for event in job_seen(target, fact.job_id, fact.job, books.context(turn, server_id)):
            if fact.job is not None:
                books.watch.learn(target, event, fact.job)
            books.write(turn, event)

    def _change(self, turn: Turn, fact: ChangeReplied) -> Events:
        target = turn.target(fact.server_id)
        attempt = target.attempt
        if attempt is None or attempt.number != fact.attempt or target.state is not TargetState.SUBMITTING:
            raise RuntimeError(
                f"an answer came for attempt {fact.attempt} of {fact.server_id}, which is not submitting"
            )
        return change_answered(target, attempt, fact.reply, self._books.context(turn, fact.server_id))

    def _power(self, turn: Turn, fact: PowerReplied, server_id: str) -> Events:
        target = turn.target(server_id)
        call = next((one for one in target.calls if one.id == fact.call_id), None)
        if call is None:
            raise RuntimeError(f"an answer came for call {fact.call_id} of {server_id}, which was not made")
        return power_answered(target, call, fact.reply, self._books.context(turn, server_id))

    def _write(self, turn: Turn, events: Events) -> None:
        for event in events:
            if isinstance(event, RunMoved):
                self._pause(turn, event.reason or Reason.PERMISSION, event.detail)
            else:
                self._books.write(turn, event)

    def _pause(self, turn: Turn, reason: Reason, detail: str) -> None:
        if turn.run.state is RunState.RUNNING:
            self._books.write(turn, RunMoved(RunState.PAUSED, reason, detail))
        elif turn.run.state is RunState.FINISHING:
            self.trouble = Refused(reason, detail)

    def _asked(self, turn: Turn, fact: OperatorRequested) -> None:
        run = turn.run
        if fact.request.kind is RequestKind.ABORT and run.state in (RunState.RUNNING, RunState.PAUSED):
            detail = f"aborted by {fact.request.by}"
            self._books.write(turn, RunMoved(RunState.FINISHING, Reason.ABORTED, detail, fact.request.by))
            waiting = (one.server_id for one in self._books.progress.targets.values() if one.state in QUEUED)
            self._books.mark_dirty(waiting)
        turn.answer(fact.request.id)


class Health:
    """Counts failures in a row; an answer of any kind begins anew."""

    def __init__(self) -> None:
        self._since: Moment | None = None
        self._failures = 0

    def answered(self) -> None:
        """The cloud said something."""
        self._since = None
        self._failures = 0

    def failed(self, now: Moment) -> bool:
        """Whether the cloud counts as unreachable after one more failure."""
        self._since = self._since or now
        self._failures += 1
        return self._failures >= UNREACHABLE_FAILURES and now.since_s(self._since) >= UNREACHABLE_S
