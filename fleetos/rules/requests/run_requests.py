"""Answer an operator's requests: what each does to the run as it is, or why it does nothing. Pure."""

from collections.abc import Callable, Iterable, Sequence

from fleetos.model.journal.events import (
    EndAsked,
    Event,
    Forgiven,
    RunMoved,
    SettingChanged,
)
from fleetos.model.journal.requests import OperatorRequest, RequestKind, RequestOutcome
from fleetos.model.run import End, Run, Target
from fleetos.model.states import (
    AHEAD,
    ENDED_BY_APPLY,
    QUEUED,
    RETRIABLE,
    RUN_ENDS,
    Reason,
    RunState,
    TargetState,
)
from fleetos.rules.outcomes import give_up
from fleetos.rules.requests.answer import Answer, RunDraft, done, no_effect, refused
from fleetos.rules.requests.wave_requests import approve, promote
from fleetos.rules.waves import wave_facts
from fleetos.text import counted, join_some

_NAMES_TOLD = 5
TargetOf = Callable[[str], Target | None]


def in_order(requests: Iterable[OperatorRequest]) -> Sequence[OperatorRequest]:
    """Return the requests in the order in which they count: aborts first, then as they were made."""
    return sorted(requests, key=lambda request: (request.kind is not RequestKind.ABORT, request.id))


def answer(request: OperatorRequest, draft: RunDraft) -> Answer:
    """Return what the request does to the run."""
    run = draft.run
    if run.state in RUN_ENDS:
        return Answer(RequestOutcome.REFUSED, f"the run has ended ({run.state})")
    match request.kind:
        case RequestKind.ABORT:
            return _abort(request, run)
        case RequestKind.PAUSE:
            return _pause(request, run)
        case RequestKind.RESUME:
            return _resume(request, run, draft.failures())
        case RequestKind.SET:
            return _set(request, run)
        case RequestKind.HOLD | RequestKind.SKIP:
            return _end_targets(request, run, draft.find)
        case RequestKind.APPROVE | RequestKind.PROMOTE if run.state is RunState.FINISHING:
            return no_effect("the run is being aborted, and opens no more waves")
        case RequestKind.APPROVE:
            return approve(request, run, wave_facts(run, draft.ended_by_wave()), draft.at)
        case RequestKind.PROMOTE:
            return promote(request, run, wave_facts(run, draft.ended_by_wave()), draft.at)


def _abort(request: OperatorRequest, run: Run) -> Answer:
    if run.state is RunState.FINISHING:
        return no_effect("the run is being aborted already")
    why = f": {request.reason}" if request.reason else ""
    moved = RunMoved(RunState.FINISHING, Reason.ABORTED, f"aborted by {request.by}{why}", request.by)
    return done("the run starts no more servers and ends", moved)


def _pause(request: OperatorRequest, run: Run) -> Answer:
    if run.state is RunState.FINISHING:
        return no_effect("the run is being aborted, and starts no more servers")
    paused = RunMoved(RunState.PAUSED, Reason.OPERATOR, request.reason, request.by)
    if run.state is RunState.RUNNING:
        return done("the run starts no more servers; what is in flight finishes", paused)
    if run.reason not in ENDED_BY_APPLY:
        return no_effect(f"the run is paused already ({run.reason})")
    # A pause that the next call of a timer would end becomes one that only a person ends.
    return done("apply no longer ends the pause", RunMoved(RunState.RUNNING, by=request.by), paused)


def _resume(request: OperatorRequest, run: Run, failed: Iterable[Target]) -> Answer:
    if run.state is not RunState.PAUSED:
        return no_effect("the run is not paused")
    forgiven = [Forgiven(target.server_id) for target in failed] if run.reason is Reason.BUDGET else []
    said = f"the run goes on; {counted(len(forgiven), 'failure')} forgiven" if forgiven else "the run goes on"
    return done(said, *forgiven, RunMoved(RunState.RUNNING, detail=request.reason, by=request.by))


def _set(request: OperatorRequest, run: Run) -> Answer:
    wanted, present = request.arguments.concurrency, run.settings.concurrency
    if wanted is None:
        return refused("it says no setting that this version knows")
    if wanted == present:
        return no_effect(f"concurrency is {present:,} already")
    return done(f"concurrency is {wanted:,}, no longer {present:,}", SettingChanged(wanted))


def _end_targets(request: OperatorRequest, run: Run, target_of: TargetOf) -> Answer:
    """Hold or skip the servers: all of them, or none if one of them may not be."""
    hold = request.kind is RequestKind.HOLD
    found = [(server_id, target_of(server_id)) for server_id in request.arguments.servers]
    targets = [target for _, target in found if target is not None]
    refusals = [f"{server_id} is not in the run" for server_id, target in found if target is None]
    refusals += [
        f"{target.name} {why}" for target in targets if (why := (_why_not_held if hold else _why_not_skipped)(target))
    ]
    if run.state is RunState.FINISHING:
        return no_effect("the run is being aborted, and changes no more servers")
    if refusals:
        return refused(join_some(refusals, _NAMES_TOLD))
    state = TargetState.HELD if hold else TargetState.SKIPPED
    left = [target for target in targets if target.state is not state or target.reason is not Reason.OPERATOR]
    left = [target for target in left if target.asked_end is None or target.asked_end.state is not state]
    if not left:
        return no_effect(f"{'held' if hold else 'skipped'} by an operator already")
    end = End(state, Reason.OPERATOR, f"{request.by}: {request.reason}")
    names = join_some([target.name for target in left], _NAMES_TOLD)
    return done(f"{'held' if hold else 'skipped'}: {names}", *(_end_event(target, end) for target in left))


def _end_event(target: Target, end: End) -> Event:
    """Return the end of the target; for one that is being prepared, the word that it ends as soon as it can."""
    if target.state in AHEAD:
        return EndAsked(target.server_id, end)
    (event,) = give_up(target, end.state, Reason.OPERATOR, end.detail).events
    return event


def _why_not_held(target: Target) -> str:
    """Return why the target cannot be held; empty if it can."""
    if target.state in QUEUED | AHEAD or (target.state is TargetState.HELD and target.reason is Reason.OPERATOR):
        return ""
    return f"is {target.state}: its change is under way" if not target.ended else f"is {target.state}"


def _why_not_skipped(target: Target) -> str:
    """Return why the target cannot be skipped; empty if it can."""
    if target.unsettled or target.unanswered:
        return "has an unknown outcome"
    if target.state in QUEUED | AHEAD | RETRIABLE | {TargetState.SKIPPED}:
        return ""
    return f"is {target.state}: its change is under way" if not target.ended else f"is {target.state}"
