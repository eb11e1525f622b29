"""The freeze: a plan and what the cloud showed become a run, in which nothing is left to choose."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from fleetos.errors import InputError
from fleetos.model.findings import Check, Finding
from fleetos.model.journal.events import Enlisted, Event, Moved, RunCreated
from fleetos.model.journal.fold import fold_target
from fleetos.model.plan import Plan
from fleetos.model.run import Run, Scope, Settings, Target
from fleetos.model.states import Reason, TargetState
from fleetos.model.wipes import Wipes, wipes_of
from fleetos.planning.plan_file.digest import run_digest
from fleetos.planning.preflight.preflight import Preflight, Resolved, runs_image
from fleetos.planning.settings import CloudFacts, settings_of, settle_problem

_REASONS = {
    Check.NO_SYSTEM_DISK: Reason.NO_SYSTEM_DISK,
    Check.LOCKED: Reason.LOCKED,
    Check.WRONG_STATE: Reason.WRONG_STATE,
    Check.MANAGED: Reason.MANAGED,
}


@dataclass(frozen=True, slots=True)
class History:
    """What earlier runs say of the servers and the cloud.

    `bad_attempts` are servers whose latest attempt failed or has no known outcome; `unanswered` says when a send to a
    server was last left unanswered; `longest_change_s` is the longest OS change seen on this cloud.
    """

    bad_attempts: frozenset[str] = frozenset()
    unanswered: Mapping[str, datetime] | None = None
    longest_change_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FrozenRun:
    """A run as it begins: the events that make it, and the targets that these events leave."""

    run: Run
    events: tuple[Event, ...]
    targets: tuple[Target, ...]

    @property
    def would_wipe(self) -> Wipes:
        """What the run will wipe."""
        return wipes_of(self.run, self.targets)

    @property
    def wiped(self) -> tuple[Target, ...]:
        """The targets whose system disk the run will wipe."""
        return self.would_wipe.left

    @property
    def wipes(self) -> int:
        """How many system disks the run will wipe."""
        return self.run.wipes

    @property
    def spared(self) -> Mapping[Reason, int]:
        """How many targets end at the freeze, by reason."""
        return Counter(target.reason for target in self.targets if target.ended and target.reason is not None)


def freeze(
    plan: Plan,
    found: Preflight,
    *,
    scope: Scope,
    facts: CloudFacts,
    run_id: str,
    now: datetime,
    history: History | None = None,
) -> FrozenRun:
    """The run of the plan on the servers that preflight found. `now` is UTC.

    A server that preflight refuses is held, and one that runs the image already is skipped, right here: neither is ever
    touched. Raises InputError if the settle time is too short for the cloud.
    """
    past = history or History()
    settle = settle_problem(plan, facts)
    if settle is not None:
        raise InputError((settle,))
    settings = settings_of(plan, facts, len(found.servers), past.longest_change_s)
    run = Run(
        id=run_id,
        name=plan.name,
        digest=run_digest(plan, scope),
        plan_path=str(plan.path),
        scope=scope,
        settings=settings,
        images=found.images,
        created_at=now,
    )
    events: list[Event] = []
    targets: list[Target] = []
    for position, one in enumerate(found.servers):
        enlisted = Enlisted(_target(one, position, settings, past))
        target = fold_target(None, enlisted, now)
        events.append(enlisted)
        end = _end_at_freeze(one, found.refusals.get(one.server.id), settings, past)
        if end is not None:
            events.append(end)
            target = fold_target(target, end, now)
        targets.append(target)
    run = replace(run, wipes=len(wipes_of(run, targets).left))
    return FrozenRun(run, (RunCreated(run), *events), tuple(targets))


def _target(one: Resolved, position: int, settings: Settings, history: History) -> Target:
    unanswered_at = (history.unanswered or {}).get(one.server.id)
    return Target(
        server_id=one.server.id,
        name=one.server.name,
        position=position,
        order=one.order,
        baseline=one.server.picture,
        disk=one.server.picture.disk,
        labels=one.labels,
        flavor=one.server.flavor,
        az=one.server.az,
        attempts_allowed=settings.attempts,
        last_unanswered_at=unanswered_at,
        remembered_at=unanswered_at,
    )


def _end_at_freeze(one: Resolved, refusal: Finding | None, settings: Settings, history: History) -> Moved | None:
    """The move that ends the target at once, or None: it waits for its turn."""
    server, picture = one.server, one.server.picture
    if picture.disk is None and server.unread is None:
        detail = "the inventory shows no system disk"
        return Moved(server.id, TargetState.HELD, Reason.NO_SYSTEM_DISK, detail=detail)
    asked_for = settings.force or one.order.reinstall or server.id in history.bad_attempts
    if not asked_for and runs_image(picture, one.order.image_id):
        return Moved(server.id, TargetState.SKIPPED, Reason.ALREADY_ON_IMAGE)
    if refusal is not None:
        reason = _REASONS.get(refusal.check, Reason.UNSUITABLE)
        # The other reasons say themselves what to do.
        hint = f"; {refusal.hint}" if refusal.hint and reason is Reason.UNSUITABLE else ""
        return Moved(server.id, TargetState.HELD, reason, detail=f"{refusal.text}{hint}")
    return None
