"""Answer an operator's requests: what each does to the run as it is, or why it does nothing. Pure."""

from collections.abc import Callable, Iterable, Sequence

from fleetos.model.journal.events import (
    Forgiven,
    RunMoved,
    SettingChanged,
)
from fleetos.model.journal.requests import TAKE_UP, OperatorRequest, RequestKind, RequestOutcome
from fleetos.model.run import Run, Target
from fleetos.model.states import ENDED_BY_APPLY, RUN_ENDS, Reason, RunState
from fleetos.rules.requests.answer import Answer, RunDraft, done, no_effect, refused
from fleetos.rules.requests.server_requests import SERVER_VERBS
from fleetos.rules.requests.wave_requests import approve, promote
from fleetos.rules.waves import reopen_wave, wave_facts
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
        case RequestKind.HOLD | RequestKind.SKIP | RequestKind.RELEASE | RequestKind.RETRY:
            return _for_servers(request, run, draft.find)
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


def _for_servers(request: OperatorRequest, run: Run, target_of: TargetOf) -> Answer:
    """Do it to all of the servers, or to none if it may not be done to one of them."""
    verb = SERVER_VERBS[request.kind]
    found = [(server_id, target_of(server_id)) for server_id in request.arguments.servers]
    targets = [target for _, target in found if target is not None]
    refusals = [f"{server_id} is not in the run" for server_id, target in found if target is None]
    refusals += [f"{target.name} {why}" for target in targets if (why := verb.why_not(target, request))]
    if run.state is RunState.FINISHING:
        return no_effect("the run is being aborted, and changes no more servers")
    if refusals:
        return refused(join_some(refusals, _NAMES_TOLD))
    left = [target for target in targets if not verb.is_so(target)]
    if not left:
        return no_effect(verb.already)
    names = join_some([target.name for target in left], _NAMES_TOLD)
    reopened = reopen_wave(run, left) if request.kind in TAKE_UP else ()
    return done(f"{verb.done}: {names}", *reopened, *(verb.event(target, request, run) for target in left))
