"""Values that the tests of model, rules and engine begin with."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fleetos.model.inventory import ServerSnapshot
from fleetos.model.plan import PowerAfter, StopMode
from fleetos.model.run import Attempt, Order, Run, Scope, Settings, Target

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
OLD_IMAGE, NEW_IMAGE, OTHER_IMAGE = "image-old", "image-new", "image-other"
OLD_DISK, NEW_DISK = "disk-old", "disk-new"

RUNNING = ServerSnapshot("ACTIVE", "active", None, 1, OLD_DISK, OLD_IMAGE)
STOPPED = ServerSnapshot("SHUTOFF", "stopped", None, 4, OLD_DISK, OLD_IMAGE)
STOPPING = replace(RUNNING, task="powering-off")
REBUILD = ServerSnapshot("REBUILD", "stopped", "rebuilding", 4, OLD_DISK, OLD_IMAGE)
ERROR = ServerSnapshot("ERROR", "error", None, 4, OLD_DISK, OLD_IMAGE, fault="500: no valid host")
NO_DISK = replace(STOPPED, disk=None)
CHANGED = replace(RUNNING, disk=NEW_DISK, image=NEW_IMAGE)
CHANGED_DOWN = replace(STOPPED, disk=NEW_DISK, image=NEW_IMAGE)
CHANGED_ERROR = replace(ERROR, disk=NEW_DISK, image=NEW_IMAGE)
FOREIGN = replace(RUNNING, disk="disk-foreign", image=OTHER_IMAGE)

SETTINGS = Settings(
    concurrency=5,
    stop=StopMode.SOFT_THEN_HARD,
    force=False,
    power_after=PowerAfter.RUNNING,
    attempts=2,
    backoff_s=30.0,
    max_backoff_s=900.0,
    stop_timeout_s=600.0,
    change_timeout_s=3600.0,
    settle_s=600.0,
    start_timeout_s=600.0,
    poll_min_s=5.0,
    poll_max_s=60.0,
    rate_per_s=None,
    burst=None,
    connections=16,
)


def a_target(number: int = 1, **changes: object) -> Target:
    """A waiting target that may be tried twice."""
    order = Order(NEW_IMAGE, "Debian 12", "v2", metadata={"BYOL": "true"})
    target = Target(f"server-{number:04}", f"web-{number:04}", number, order, RUNNING, OLD_DISK, attempts_allowed=2)
    return replace(target, **changes)


def a_run(settings: Settings = SETTINGS, **changes: object) -> Run:
    """A run as the freeze leaves it."""
    scope = Scope("sim", "eu-de", "project", "http://127.0.0.1")
    run = Run("2b7c0m1x4q", "web", "sha256:abc", "/plan.yaml", scope, settings, {"Debian 12": NEW_IMAGE}, START)
    return replace(run, **changes)


def an_attempt(number: int = 1, **changes: object) -> Attempt:
    """An open attempt, sent at START from the stopped picture."""
    attempt = Attempt(number, STOPPED, START, START, START + timedelta(hours=1))
    return replace(attempt, **changes)
