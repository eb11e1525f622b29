"""Decide which servers a run skips or holds from the start. Pure."""

from collections.abc import Collection

from fleetos.model.findings import Check, Finding
from fleetos.model.journal.events import Moved
from fleetos.model.run import Settings
from fleetos.model.states import Reason, TargetState
from fleetos.planning.preflight.preflight import ResolvedServer, runs_image

_REASONS = {
    Check.NO_SYSTEM_DISK: Reason.NO_SYSTEM_DISK,
    Check.LOCKED: Reason.LOCKED,
    Check.WRONG_STATE: Reason.WRONG_STATE,
    Check.MANAGED: Reason.MANAGED,
    Check.PROTECTED: Reason.PROTECTED,
}


def skip_or_hold(
    resolved: ResolvedServer, refusal: Finding | None, settings: Settings, bad_attempts: Collection[str]
) -> Moved | None:
    """Return the move that ends a server at the freeze; None if the run is to change it.

    A server that runs the image already is skipped, unless the plan forces it or reinstalls, or its last attempt went
    badly: `bad_attempts` has its id. One that preflight refuses is held.
    """
    server, snapshot = resolved.server, resolved.server.snapshot
    if snapshot.disk is None and server.unread is None:
        detail = "the inventory shows no system disk"
        return Moved(server.id, TargetState.HELD, Reason.NO_SYSTEM_DISK, detail=detail)
    asked_for = settings.force or resolved.order.reinstall or server.id in bad_attempts
    if not asked_for and runs_image(snapshot, resolved.order.image_id):
        return Moved(server.id, TargetState.SKIPPED, Reason.ALREADY_ON_IMAGE)
    if refusal is not None:
        reason = _REASONS.get(refusal.check, Reason.UNSUITABLE)
        # The texts of all other reasons say what to do.
        hint = f"; {refusal.hint}" if refusal.hint and reason is Reason.UNSUITABLE else ""
        return Moved(server.id, TargetState.HELD, reason, detail=f"{refusal.text}{hint}")
    return None
