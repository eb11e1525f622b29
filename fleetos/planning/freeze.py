"""Turn a plan and an inventory into a run. After the freeze nothing is left to choose."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from fleetos.errors import InputError
from fleetos.model.journal.events import Enlisted, Event, Moved, RunCreated
from fleetos.model.journal.fold import fold_target
from fleetos.model.plan import NotifyEntry, Plan, SecretRef
from fleetos.model.run import Run, Scope, Settings, Target
from fleetos.model.states import Reason
from fleetos.model.wipes import Wipes, wipes_of
from fleetos.planning.plan_file.digest import run_digest
from fleetos.planning.preflight.preflight import Preflight, ResolvedServer
from fleetos.planning.rollout import freeze_steering, notify_sentences, steering_sentences
from fleetos.planning.settings import CloudFacts, choose_settings, settle_problem
from fleetos.planning.skip_or_hold import skip_or_hold


@dataclass(frozen=True, slots=True)
class History:
    """Facts that earlier runs left about the servers and the cloud."""

    bad_attempts: frozenset[str] = frozenset()
    """Ids of the servers whose latest attempt failed or has no known outcome."""
    unanswered: Mapping[str, datetime] | None = None
    """When a send to a server was last left unanswered, by server id."""
    longest_change_s: float = 0.0
    """The longest OS change seen on this cloud."""


@dataclass(frozen=True, slots=True)
class FrozenRun:
    """A run as it begins: the events that create it, and the targets as these events leave them."""

    run: Run
    events: tuple[Event, ...]
    targets: tuple[Target, ...]
    services: tuple[str, ...] = ()
    """Kinds of the receivers of notifications, which only their URLs tell."""

    @property
    def would_wipe(self) -> Wipes:
        """The system disks that the run will wipe."""
        return wipes_of(self.run, self.targets)

    @property
    def targets_to_wipe(self) -> tuple[Target, ...]:
        """The targets whose system disk the run will wipe."""
        return self.would_wipe.left

    @property
    def sentences(self) -> tuple[str, ...]:
        """Rules of waves, groups, budgets and windows, and who is notified, a sentence each."""
        rules = steering_sentences(self.run.steering, self.targets_to_wipe, self.run.settings.concurrency)
        return (*rules, *notify_sentences(self.run.notify, self.services))

    @property
    def wipes(self) -> int:
        """Number of system disks that the run will wipe."""
        return self.run.wipes

    @property
    def spared(self) -> Mapping[Reason, int]:
        """Number of targets that end at the freeze, by reason."""
        return Counter(target.reason for target in self.targets if target.ended and target.reason is not None)


def freeze(
    plan: Plan,
    preflight: Preflight,
    *,
    scope: Scope,
    facts: CloudFacts,
    run_id: str,
    now: datetime,
    history: History | None = None,
) -> FrozenRun:
    """Freeze the plan into a run on the servers that preflight resolved. `now` is UTC.

    A server that preflight refuses is held at once, and one that runs the image already is skipped at once: the run
    never touches either. Raise InputError if the settle time is too short for the cloud, or if waves and windows do not
    suit the servers.
    """
    past_runs = history or History()
    settle = settle_problem(plan, facts)
    if settle is not None:
        raise InputError((settle,))
    settings = choose_settings(plan, facts, len(preflight.servers), past_runs.longest_change_s)
    run = Run(
        id=run_id,
        name=plan.name,
        digest=run_digest(plan, scope),
        plan_path=str(plan.path),
        scope=scope,
        settings=settings,
        images=preflight.images,
        created_at=now,
        notify=notify_entries(plan),
    )
    made: list[tuple[Target, Moved | None]] = []
    for position, resolved in enumerate(preflight.servers):
        refusal = preflight.refusals.get(resolved.server.id)
        end = skip_or_hold(resolved, refusal, settings, past_runs.bad_attempts)
        made.append((_make_target(resolved, position, settings, past_runs), end))
    if plan.steering.written:
        run, made = _steer(plan, run, made, now)
    run = replace(run, steering=replace(run.steering, not_before=plan.steering.not_before))
    events: list[Event] = []
    targets: list[Target] = []
    for listed, end in made:
        enlisted = Enlisted(listed)
        events += (enlisted,) if end is None else (enlisted, end)
        target = fold_target(None, enlisted, now)
        targets.append(target if end is None else fold_target(target, end, now))
    run = replace(run, wipes=len(wipes_of(run, targets).left))
    return FrozenRun(run, (RunCreated(run), *events), tuple(targets))


def notify_entries(plan: Plan) -> tuple[NotifyEntry, ...]:
    """Return the receivers of notifications with absolute paths of their files."""
    folder = plan.path.parent

    def absolute(ref: SecretRef) -> SecretRef:
        return ref if ref.kind == "env" else SecretRef("file", str(folder / ref.where))

    return tuple(
        replace(entry, url=absolute(entry.url), secret=None if entry.secret is None else absolute(entry.secret))
        for entry in plan.notify
    )


def _steer(
    plan: Plan, run: Run, made: list[tuple[Target, Moved | None]], now: datetime
) -> tuple[Run, list[tuple[Target, Moved | None]]]:
    """Return the run with its steering, and its targets in the order of their changes. Others stay behind these."""
    members = [target for target, end in made if end is None]
    frozen = freeze_steering(plan, members, now)
    if frozen.problems:
        raise InputError(frozen.problems)
    others = [(target, end) for target, end in made if end is not None]
    ordered = [*((member, None) for member in frozen.waves.members), *others]
    numbered = [(replace(target, position=position), end) for position, (target, end) in enumerate(ordered)]
    return replace(run, steering=frozen.steering), numbered


def _make_target(resolved: ResolvedServer, position: int, settings: Settings, history: History) -> Target:
    unanswered_at = (history.unanswered or {}).get(resolved.server.id)
    return Target(
        server_id=resolved.server.id,
        name=resolved.server.name,
        position=position,
        order=resolved.order,
        baseline=resolved.server.snapshot,
        disk=resolved.server.snapshot.disk,
        labels=resolved.labels,
        flavor=resolved.server.flavor,
        az=resolved.server.az,
        attempts_allowed=settings.attempts,
        last_unanswered_at=unanswered_at,
        remembered_at=unanswered_at,
    )
