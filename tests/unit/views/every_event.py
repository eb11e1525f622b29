"""One event of every kind and every way that it can go, with every field set."""

from collections.abc import Iterator
from dataclasses import replace

from fleetos.model.inventory import JobStatus
from fleetos.model.journal.events import (
    AttemptEnded,
    ChangeAdopted,
    ChangeAnswered,
    ChangeIntended,
    EndAsked,
    Enlisted,
    Event,
    Forgiven,
    JobEnded,
    Moved,
    NotDelivered,
    PowerAnswered,
    PowerIntended,
    Released,
    RequestAnswered,
    Retried,
    RunApproved,
    RunCreated,
    RunDriverEnded,
    RunDriverStarted,
    RunMoved,
    RunNotified,
    RunPassStarted,
    RunWaveFinished,
    RunWaveOpened,
    RunWavePromoted,
    RunWaveReopened,
    SettingChanged,
    Settled,
)
from fleetos.model.journal.requests import RequestKind, RequestOutcome
from fleetos.model.plan import Occasion, SecretRef
from fleetos.model.run import End, LeftBy, Outcome, PowerOutcome
from fleetos.model.states import ENDS, MOVES, RUN_MOVES, Reason, TargetState
from tests.support.builders import START
from tests.unit.views.run_history import IMAGE, JOB, STOPPED, server_id, target, web_tier_run

WHERE = server_id(1)
SECRET_PLACE = "FLEET_PASSWORD_VARIABLE"
_S = TargetState
_END = End(_S.HELD, Reason.LOCKED, "locked")
# Where a verdict on an attempt can lead: to an end, at once or by way of the power, or to the next attempt.
_VERDICTS = (*sorted(ENDS), _S.BACKOFF, _S.RESTORING)


def every_event() -> Iterator[Event]:
    """All kinds of events."""
    enlisted = target(1)
    order = replace(enlisted.order, adminpass=SecretRef("env", SECRET_PLACE))
    names = {"project": "eu-de_prod", "domain": "OTC0001", "user": "ops-rollout", "access_key": "…3F2K"}
    yield RunCreated(replace(web_tier_run(created_by="root on vm"), scope=replace(web_tier_run().scope, **names)))
    yield RunDriverStarted("host:1")
    yield RunDriverEnded("host:1", LeftBy.SIGNAL, "SIGTERM")
    yield RunPassStarted(2, "anna", "its quota was raised")
    yield RequestAnswered(7, RequestKind.PAUSE, RequestOutcome.DONE, "anna", "the fleet is in use", "it starts no more")
    yield SettingChanged(40)
    yield RunWaveOpened(1)
    yield RunWaveFinished(1)
    yield RunWavePromoted(1, "anna", 2)
    yield RunWaveReopened(1)
    yield RunApproved(2, "anna")
    yield RunNotified(1, "slack", Occasion.WAVE, "wave 2", START, "failed", 4, "HTTP 503")
    for state in sorted({after for afters in RUN_MOVES.values() for after in afters}):
        yield RunMoved(state, Reason.UNREACHABLE, "no route", "anna on vm")
    yield Enlisted(replace(enlisted, order=order))
    for state in sorted({after for afters in MOVES.values() for after in afters} - {_S.SUBMITTING}):
        yield Moved(WHERE, state, Reason.LOCKED, "disk-2", "said so", START, _END)
    yield ChangeIntended(WHERE, 1, STOPPED, START)
    for state in MOVES[_S.SUBMITTING]:
        deadline = START if state is _S.CHANGING else None
        yield ChangeAnswered(
            WHERE, 1, state, "later", JOB, deadline, "Ecs.0021", 400, "quota", "req-1", Reason.REFUSED, START, _END
        )
    yield ChangeAdopted(WHERE, 1)
    for status in (JobStatus.SUCCESS, JobStatus.FAIL):
        failed = status is JobStatus.FAIL
        yield JobEnded(WHERE, 1, JOB, status, "Ecs.0202" if failed else None, "create volume" if failed else None)
    yield NotDelivered(WHERE, 1)
    for state in _VERDICTS:
        yield AttemptEnded(
            WHERE, 1, Outcome.FAILED, state, "disk-2", IMAGE, Reason.ATTEMPTS_USED_UP, "said so", START, _END
        )
    yield PowerIntended(WHERE, "call-1", "stop", hard=True, size=3)
    yield PowerIntended(WHERE, "call-2", "start", hard=False, size=1)
    yield PowerAnswered(WHERE, "call-1", PowerOutcome.REFUSED, JOB, "Ecs.0605", "locked", "req-2", START)
    yield Retried(WHERE, "disk-2")
    yield Released(WHERE, TargetState.WAITING)
    yield Released(WHERE, None)
    yield EndAsked(WHERE, End(TargetState.HELD, Reason.OPERATOR, "anna: it is in use"))
    yield Forgiven(WHERE)
    yield Settled(WHERE)
