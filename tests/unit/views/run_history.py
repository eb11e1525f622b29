"""A run on a stage: events go through the real fold, so that the views see what the engine would show them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fleetos.model.inventory import JobStatus, ServerSnapshot
from fleetos.model.journal.events import (
    AttemptEnded,
    ChangeAnswered,
    ChangeIntended,
    Enlisted,
    Event,
    JobEnded,
    Moved,
    PowerIntended,
    Record,
    RunCreated,
    RunDriverStarted,
    RunEvent,
)
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.plan import PowerAfter, StopMode
from fleetos.model.progress import Progress
from fleetos.model.run import Order, Outcome, Run, Scope, Settings, Target
from fleetos.model.states import Reason, TargetState

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
IMAGE = "67f433d8-ed0e-4321-a8a2-a71838539e09"
OLD_IMAGE = "11111111-ed0e-4321-a8a2-a71838539e09"
JOB = "ff80808288d41e1b018990260955686a"
RUNNING = ServerSnapshot("ACTIVE", "active", None, 1, "disk-old", OLD_IMAGE)
STOPPED = ServerSnapshot("SHUTOFF", "stopped", None, 4, "disk-old", OLD_IMAGE)

SETTINGS = Settings(
    concurrency=40,
    stop=StopMode.SOFT_THEN_HARD,
    force=False,
    power_after=PowerAfter.RUNNING,
    attempts=2,
    backoff_s=30,
    max_backoff_s=900,
    stop_timeout_s=600,
    change_timeout_s=3600,
    settle_s=600,
    start_timeout_s=600,
    poll_min_s=5,
    poll_max_s=60,
    rate_per_s=None,
    burst=None,
    connections=16,
)


def server_id(number: int) -> str:
    """The id of the server with that number."""
    return f"{number:08x}-46ca-475e-917e-2563e5a8cd19"


def target(number: int, name: str | None = None) -> Target:
    """A waiting target."""
    return Target(
        server_id=server_id(number),
        name=f"web-{number:02}" if name is None else name,
        position=number,
        order=Order(IMAGE, "Standard_Debian_12_latest", "v2"),
        baseline=RUNNING,
        disk=RUNNING.disk,
        since=START,
        attempts_allowed=2,
    )


def a_run(**changes: Any) -> Run:
    """A run as the freeze leaves it."""
    run = Run(
        id="2b7c0m1x4q",
        name="web-tier-debian-12",
        digest="sha256:abc",
        plan_path="/plans/web.yaml",
        scope=Scope("otc-prod", "eu-de", "0a1b", "https://ecs.example"),
        settings=SETTINGS,
        images={"Standard_Debian_12_latest": IMAGE},
        created_at=START,
    )
    return replace(run, **changes)


class RunHistory:
    """A run with its records. `now` moves only by `wait`."""

    def __init__(self, targets: Sequence[Target], run: Run | None = None) -> None:
        self.now = START
        self.progress = Progress(run or a_run(), targets)
        self.records: list[Record] = []

    @classmethod
    def of(cls, count: int) -> "RunHistory":
        return cls([target(number) for number in range(count)])

    def wait(self, seconds: float) -> "RunHistory":
        self.now += timedelta(seconds=seconds)
        return self

    def happen(self, *events: Event) -> list[Record]:
        """Folds the events in one turn and gives their records."""
        run, changed = self.progress.run, dict[str, Target]()
        first = len(self.records)
        for event in events:
            if isinstance(event, RunEvent):
                run = fold_run(run, event, self.now)
            else:
                before = changed.get(event.server_id) or self.progress.targets.get(event.server_id)
                changed[event.server_id] = fold_target(before, event, self.now)
            self.records.append(Record(len(self.records) + 1, self.now, event))
        self.progress.update_targets(run, changed.values())
        return self.records[first:]

    def begin(self) -> list[Record]:
        """The records of a run that was created and is driven."""
        enlisted = [Enlisted(one) for one in self.progress.targets.values()]
        return self.happen(RunCreated(self.progress.run), RunDriverStarted("host:1"), *enlisted)

    def one(self, number: int) -> Target:
        return self.progress.targets[server_id(number)]

    def stop(self, number: int) -> list[Record]:
        where = server_id(number)
        sent = PowerIntended(where, f"call-{number}", "stop", hard=False, size=1)
        moves = (Moved(where, TargetState.CHECKING), Moved(where, TargetState.STOPPING))
        return self.happen(*moves, sent)

    def submit(self, number: int) -> list[Record]:
        """The records of a stop and a change that the cloud accepted."""
        stopped = [] if self.one(number).state is TargetState.READY else self.stop(number)
        where, attempt = server_id(number), len(self.one(number).attempts) + 1
        deadline = self.now + timedelta(hours=1)
        return stopped + self.happen(
            *([Moved(where, TargetState.READY)] if stopped else []),
            ChangeIntended(where, attempt, STOPPED, deadline),
            ChangeAnswered(where, attempt, TargetState.CHANGING, "accepted", job_id=JOB, deadline=deadline, status=200),
        )

    def succeed(self, number: int) -> list[Record]:
        where, attempt = server_id(number), len(self.one(number).attempts)
        return self.happen(
            JobEnded(where, attempt, JOB, JobStatus.SUCCESS),
            AttemptEnded(where, attempt, Outcome.SUCCEEDED, TargetState.DONE, disk="disk-new", image=IMAGE),
        )

    def fail(self, number: int, to: TargetState = TargetState.HELD, code: str = "Ecs.0202") -> list[Record]:
        """The records of a job that failed; a reason goes with it unless another attempt is left."""
        where, attempt = server_id(number), len(self.one(number).attempts)
        again = to is TargetState.BACKOFF
        return self.happen(
            JobEnded(where, attempt, JOB, JobStatus.FAIL, code, "create volume failed"),
            AttemptEnded(
                where,
                attempt,
                Outcome.FAILED,
                to,
                disk="disk-old",
                reason=None if again else Reason.ATTEMPTS_USED_UP,
                not_before=self.now + timedelta(seconds=30) if again else None,
            ),
        )
