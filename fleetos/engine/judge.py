"""Turn facts into events; detect an unreachable cloud."""

from collections.abc import Iterator, Sequence

from fleetos.clock import Moment
from fleetos.engine.facts import (
    CalendarRead,
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
from fleetos.model.journal.events import RunMoved, TargetEvent
from fleetos.model.journal.requests import OperatorRequest
from fleetos.model.states import COMES_TO_REST, Reason, RunState, TargetState
from fleetos.rules.replies import Events, judge_change_reply, judge_job, judge_power_reply
from fleetos.rules.requests.run_requests import answer, in_order

ReadFact = ServerRead | ServersNotRead | TracesRead | TracesNotRead | JobRead | JobNotRead


class Judge:
    """Judge of the facts of one run."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._health = CloudHealth()
        self.trouble: Refused | None = None
        """Set when a run that is aborted, or comes to rest in a pause, must be left alone: it cannot pause (again)."""

    def judge_facts(self, turn: Turn, facts: Sequence[Fact]) -> None:
        """Judge the facts, and write their events into the turn: the operator's requests first, the others in order."""
        requests = [fact.request for fact in facts if isinstance(fact, OperatorRequested)]
        for request in in_order(requests):
            self._answer_request(turn, request)
        for fact in facts:
            match fact:
                case ServerRead() | ServersNotRead() | TracesRead() | TracesNotRead() | JobRead() | JobNotRead():
                    self._judge_read(turn, fact)
                case ChangeReplied() | PowerReplied():
                    for event in self._judge_reply(turn, fact):
                        if isinstance(event, RunMoved):
                            self._pause(turn, event.reason or Reason.PERMISSION, event.detail)
                        else:
                            self._tracker.write_event(turn, event)
                case Refused():
                    self._pause(turn, fact.reason, fact.detail)
                case CloudNotReached():
                    if self._health.record_failure(self._tracker.now):
                        self._pause(turn, Reason.UNREACHABLE, fact.detail)
                case OperatorRequested():
                    pass
                case CalendarRead():
                    self._tracker.rollout.take_calendar(fact, self._tracker.now.wall)

    def _judge_read(self, turn: Turn, fact: ReadFact) -> None:
        tracker = self._tracker
        match fact:
            case ServerRead():
                self._health.record_answer()
                tracker.sweeps.finish_servers((fact.server_id,))
                tracker.rollout.add_look(turn, fact)
                tracker.add_observation(turn, fact.server_id, fact.observation)
            case ServersNotRead():
                tracker.sweeps.finish_servers(fact.server_ids)
                tracker.rollout.miss_looks(fact.server_ids)
                for server_id in fact.server_ids:
                    tracker.add_missed_read(server_id)
            case TracesRead():
                tracker.sweeps.finish_traces(fact.server_id)
                tracker.add_traces(fact)
            case TracesNotRead():
                tracker.sweeps.finish_traces(fact.server_id)
                tracker.add_missed_read(fact.server_id)
            case JobNotRead():
                for server_id in tracker.sweeps.finish_job(fact.job_id, fact.server_ids):
                    tracker.add_missed_read(server_id)
            case JobRead():
                self._health.record_answer()
                for server_id in tracker.sweeps.finish_job(fact.job_id, fact.server_ids):
                    self._judge_job(turn, server_id, fact)

    def _judge_job(self, turn: Turn, server_id: str, fact: JobRead) -> None:
        tracker = self._tracker
        if tracker.observations_of(server_id) is None:
            return
        tracker.add_job_read(server_id, goes_on=fact.job is not None and not fact.job.status_of(server_id).final)
        target = turn.target(server_id)
        for event in judge_job(target, fact.job_id, fact.job, tracker.context(turn, server_id)):
            if fact.job is not None:
                tracker.changes.record_job_duration(target, event, fact.job)
            tracker.write_event(turn, event)

    def _judge_reply(self, turn: Turn, fact: ChangeReplied | PowerReplied) -> Iterator[TargetEvent | RunMoved]:
        """Yield the events of a reply. Those of one server are written before the next one is judged."""
        match fact:
            case ChangeReplied():
                yield from self._judge_change_reply(turn, fact)
            case PowerReplied():
                for server_id in fact.server_ids:
                    yield from self._judge_power_reply(turn, fact, server_id)

    def _judge_change_reply(self, turn: Turn, fact: ChangeReplied) -> Events:
        target = turn.target(fact.server_id)
        attempt = target.attempt
        if attempt is None or attempt.number != fact.attempt or target.state is not TargetState.SUBMITTING:
            raise RuntimeError(
                f"an answer came for attempt {fact.attempt} of {fact.server_id}, which is not submitting"
            )
        return judge_change_reply(target, attempt, fact.reply, self._tracker.context(turn, fact.server_id))

    def _judge_power_reply(self, turn: Turn, fact: PowerReplied, server_id: str) -> Events:
        target = turn.target(server_id)
        call = next((call for call in target.calls if call.id == fact.call_id), None)
        if call is None:
            raise RuntimeError(f"an answer came for call {fact.call_id} of {server_id}, which was not made")
        return judge_power_reply(target, call, fact.reply, self._tracker.context(turn, server_id))

    def _pause(self, turn: Turn, reason: Reason, detail: str) -> None:
        if turn.run.state is RunState.RUNNING:
            self._tracker.write_event(turn, RunMoved(RunState.PAUSED, reason, detail))
        elif turn.run.state is RunState.FINISHING or turn.run.reason in COMES_TO_REST:
            self.trouble = Refused(reason, detail)

    def _answer_request(self, turn: Turn, request: OperatorRequest) -> None:
        """Write the effect of the request and the answer to it."""
        ours = answer(request, turn)
        for event in ours.events:
            self._tracker.write_event(turn, event)
        turn.write_event(ours.record(request))
        turn.answer_request(request.id)


class CloudHealth:
    """Count of failed reads in a row; an answer of any kind begins anew."""

    def __init__(self) -> None:
        self._since: Moment | None = None
        self._failures = 0

    def record_answer(self) -> None:
        """Record that the cloud answered."""
        self._since = None
        self._failures = 0

    def record_failure(self, now: Moment) -> bool:
        """Record one more failure. Return True if the cloud counts as unreachable after it."""
        self._since = self._since or now
        self._failures += 1
        return self._failures >= UNREACHABLE_FAILURES and now.since_s(self._since) >= UNREACHABLE_S
