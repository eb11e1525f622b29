"""How a target ends, or goes on after a failed attempt: one place for every way out."""

from datetime import timedelta

from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.events import AttemptEnded, Moved, TargetEvent
from fleetos.model.run import Attempt, End, Outcome, Target
from fleetos.model.states import QUEUED, Reason, TargetState
from fleetos.rules.needs import Context, Decision, Need, ReadServerNeed, WriteEvents
from fleetos.rules.observation import ObservationSeries

# Two reads this far apart that find no server prove that it was deleted: a cell of the cloud may flap for some seconds.
GONE_APART_S = 30.0
_CAN_RESTORE = frozenset(
    {
        TargetState.CHECKING,
        TargetState.STOPPING,
        TargetState.READY,
        TargetState.SUBMITTING,
        TargetState.INSPECTING,
        TargetState.BACKOFF,
    }
)
# Outcomes of a change that the cloud has taken, also where its answer to the request was lost.
_TAKEN = frozenset({Outcome.FAILED, Outcome.NO_EFFECT})


def _was_taken(attempt: Attempt) -> bool:
    return attempt.accepted or attempt.outcome in _TAKEN


def must_restore(target: Target, seen: ServerSnapshot | None) -> bool:
    """Whether the server is to be started again: stopped by us, ran before, never changed, its own disk.

    `seen` None: nothing is known now; the look before the start decides.
    """
    return (
        target.state in _CAN_RESTORE
        and target.stopped_at is not None
        and target.ran_before
        and not any(_was_taken(attempt) for attempt in target.attempts)
        and (seen is None or seen.disk == target.baseline.disk)
    )


def give_up(
    target: Target, state: TargetState, reason: Reason, detail: str, seen: ServerSnapshot | None = None
) -> WriteEvents:
    """The target ends without (another) change: at once, or after its power is restored."""
    restore = must_restore(target, seen)
    to = TargetState.RESTORING if restore else state
    then = End(state, reason, detail) if restore else None
    attempt = target.attempt
    disk = seen.disk if seen is not None else None
    if attempt is None or attempt.accepted or attempt.unanswered:
        return WriteEvents((Moved(target.server_id, to, reason, disk=_other(target, disk), detail=detail, then=then),))
    outcome = Outcome.NOT_DELIVERED
    ended = AttemptEnded(
        target.server_id, attempt.number, outcome, to, disk=disk, reason=reason, detail=detail, then=then
    )
    return WriteEvents((ended,))


def _other(target: Target, disk: str | None) -> str | None:
    return disk if disk is not None and disk != target.disk else None


def hold(target: Target, reason: Reason, detail: str, seen: ServerSnapshot | None = None) -> WriteEvents:
    """The target waits for a human."""
    return give_up(target, TargetState.HELD, reason, detail, seen)


def aborted(target: Target, seen: ServerSnapshot | None) -> WriteEvents:
    """The end of a target that an abort finds before its change, or before its next one: then a human decides."""
    if target.state in QUEUED and target.attempt is not None:
        detail = "the run was aborted before the outcome of an earlier send was looked at again"
        return hold(target, Reason.OUTCOME_UNKNOWN, detail)
    last = next((one for one in reversed(target.attempts) if _was_taken(one)), None)
    if last is not None:
        detail = f"the run was aborted after a change that failed: {last.fail_reason or 'no reason given'}"
        return hold(target, Reason.ABORTED, detail, seen)
    if target.disk != target.baseline.disk:
        # A retry has named the disk that an unanswered send, or somebody else, left: it is not as it was.
        detail = f"the run was aborted; its system disk is {target.disk}, no longer {target.baseline.disk} as before it"
        return hold(target, Reason.ABORTED, detail, seen)
    return give_up(target, TargetState.CANCELLED, Reason.ABORTED, "the run was aborted", seen)


def proven_gone(watch: ObservationSeries, context: Context) -> bool:
    """Whether the server was deleted: two single reads, far enough apart, answered 404 and none between showed it."""
    return watch.picture is None and watch.same_s() >= context.short(GONE_APART_S)


def look_for_it(watch: ObservationSeries, context: Context) -> tuple[Need, ...]:
    """The next look for a server that the last one did not find: some on the way to the one that proves it gone."""
    last_s = max(context.now.elapsed_s, watch.same_since.elapsed_s + context.short(GONE_APART_S))
    return (ReadServerNeed(min(context.evidence_s(), last_s), single=True),)


def gone(target: Target, watch: ObservationSeries, context: Context) -> Decision:
    """The end of a target whose server was deleted, once that is proven."""
    if not proven_gone(watch, context):
        return look_for_it(watch, context)
    detail = f"the cloud says twice, {watch.same_s():.0f} s apart, that there is no such server"
    attempt = target.attempt
    if attempt is None:
        return WriteEvents((Moved(target.server_id, TargetState.FAILED, Reason.GONE, detail=detail),))
    outcome = Outcome.FAILED if attempt.accepted else Outcome.UNKNOWN if attempt.unanswered else Outcome.NOT_DELIVERED
    ended = AttemptEnded(
        target.server_id, attempt.number, outcome, TargetState.FAILED, reason=Reason.GONE, detail=detail
    )
    return WriteEvents((ended,))


def unread(target: Target, misses: int) -> WriteEvents:
    """The target waits for a human, since nothing can be learnt of its server; a proven change stays done."""
    detail = f"{misses} reads in a row said nothing of the server"
    if target.then is not None and target.then.state is TargetState.DONE:
        # Its new OS is proven, and nothing may invite to change it once more.
        detail += ": it could not be stopped as it was"
        return WriteEvents((Moved(target.server_id, TargetState.DONE, detail=detail),))
    if target.then is not None and target.then.detail:
        detail = f"{target.then.detail}; {detail}"
    return WriteEvents((Moved(target.server_id, TargetState.HELD, Reason.UNREACHABLE, detail=detail),))


def end_attempt(target: Target, outcome: Outcome, detail: str, seen: ServerSnapshot, context: Context) -> WriteEvents:
    """The open attempt is used up: the next waits for its backoff, or the target is held when none is left."""
    attempt = target.attempt
    if attempt is None:
        raise ValueError(f"target {target.server_id} has no open attempt to use up")
    used = sum(one.outcome is not None for one in target.attempts) + 1
    events: tuple[TargetEvent, ...]
    if used < target.attempts_allowed:
        wait = timedelta(seconds=backoff_s(used, context))
        events = (
            AttemptEnded(
                target.server_id,
                attempt.number,
                outcome,
                TargetState.BACKOFF,
                disk=seen.disk,
                image=seen.likely_image,
                detail=detail,
                not_before=context.now.wall + wait,
            ),
        )
    else:
        reason = Reason.ATTEMPTS_USED_UP
        events = (held_after(target, outcome, reason, detail, seen),)
    return WriteEvents(events)


def held_after(target: Target, outcome: Outcome, reason: Reason, detail: str, seen: ServerSnapshot) -> AttemptEnded:
    """The verdict that ends the open attempt and leaves the target to a human."""
    attempt = target.attempt
    if attempt is None:
        raise ValueError(f"target {target.server_id} has no open attempt to end")
    return AttemptEnded(
        target.server_id,
        attempt.number,
        outcome,
        TargetState.HELD,
        disk=seen.disk,
        image=seen.likely_image,
        reason=reason,
        detail=detail,
        restored=seen.running,
    )


def backoff_s(used: int, context: Context) -> float:
    """Seconds before the attempt after the `used`-th: doubling, with jitter downwards, up to the plan's maximum."""
    settings = context.settings
    wait_s = min(settings.backoff_s * 2 ** min(used - 1, 30), settings.max_backoff_s)
    return wait_s * (1.0 - 0.25 * context.fraction)
