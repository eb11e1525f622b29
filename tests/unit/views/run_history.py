"""A run event by event: events go through the real fold, so that the views see what the engine would show them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fleetos.model.inventory import JobStatus
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
    RunWaveFinished,
    RunWaveOpened,
)
from fleetos.model.journal.fold import fold_target
from fleetos.model.journal.fold_run import fold_run
from fleetos.model.progress import Progress
from fleetos.model.run import Order, Outcome, Run, Scope, Target
from fleetos.model.states import Reason, TargetState
from fleetos.model.steering.rollout import BetweenWaves, Steering, Wave
from tests.support import builders
from tests.support.builders import START
from tests.support.clocks import ManualClock

IMAGE = "67f433d8-ed0e-4321-a8a2-a71838539e09"
OLD_IMAGE = "11111111-ed0e-4321-a8a2-a71838539e09"
JOB = "ff80808288d41e1b018990260955686a"
RUNNING = replace(builders.RUNNING, image=OLD_IMAGE)
STOPPED = replace(builders.STOPPED, image=OLD_IMAGE)

SETTINGS = replace(builders.SETTINGS, concurrency=40)


def server_id(number: int) -> str:
    """The id of the server with that number."""
    return f"{number:08x}-46ca-475e-917e-2563e5a8cd19"


def target(number: int, name: str | None = None) -> Target:
    """Return a waiting target."""
    return builders.a_target(
        number,
        server_id=server_id(number),
        name=f"web-{number:02}" if name is None else name,
        order=Order(IMAGE, "Standard_Debian_12_latest", "v2"),
        baseline=RUNNING,
        since=START,
        labels={},
    )


def web_tier_run(**changes: Any) -> Run:
    """Return a run as the freeze leaves it, with the names that the views show."""
    shown: dict[str, Any] = {
        "id": "2b7c0m1x4q",
        "name": "web-tier-debian-12",
        "digest": "sha256:abc",
        "plan_path": "/plans/web.yaml",
        "scope": Scope("otc-prod", "eu-de", "0a1b", "https://ecs.example"),
        "images": {"Standard_Debian_12_latest": IMAGE},
        "created_by": "",
    }
    return replace(builders.a_run(settings=SETTINGS), **{**shown, **changes})


class RunHistory:
    """A run with its records. Its clock moves only by `wait`."""

    def __init__(self, targets: Sequence[Target], run: Run | None = None) -> None:
        self.clock = ManualClock()
        self.progress = Progress(run or web_tier_run(), targets)
        self.records: list[Record] = []

    @property
    def now(self) -> datetime:
        return self.clock.now()

    @classmethod
    def of(cls, count: int) -> "RunHistory":
        return cls([target(number) for number in range(count)])

    def wait(self, seconds: float) -> "RunHistory":
        self.clock.move(seconds)
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


def between_waves(between: BetweenWaves) -> RunHistory:
    """Return a run of anna whose first wave of one server has just finished, and whose second one waits."""
    waves = tuple(Wave(number, None, 1, between) for number in (1, 2))
    members = [replace(target(number), wave=number + 1) for number in (0, 1)]
    history = RunHistory(members, web_tier_run(owner="anna", steering=Steering(waves=waves)))
    history.begin()
    history.happen(RunWaveOpened(1))
    history.submit(0)
    history.succeed(0)
    history.happen(RunWaveFinished(1))
    return history
