"""Builders of the values that tests begin with: settings, runs, targets, attempts, servers, images, inventories."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fleetos.model.inventory import Image, Inventory, Server, ServerSnapshot
from fleetos.model.plan import PowerAfter, StopMode
from fleetos.model.run import Attempt, Order, Run, Scope, Settings, Target
from fleetos.store.process import this_process

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SCOPE = Scope("otc-prod", "eu-de", "0a1b2c", "https://ecs.example")
DIGEST = "sha256:" + "a" * 64
OLD_IMAGE, NEW_IMAGE, OTHER_IMAGE = "image-old", "image-new", "image-other"
OLD_DISK, NEW_DISK = "disk-old", "disk-new"
DEBIAN = Image(NEW_IMAGE, "Debian", "active", os_type="Linux", virtual_env_type="FusionCompute")

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


def a_run(number: int = 1, digest: str = DIGEST, *, settings: Settings = SETTINGS, **changes: object) -> Run:
    """Return a run as the freeze leaves it, created by this process. Its id follows from the number."""
    images = {"Debian 12": NEW_IMAGE}
    run = Run(f"run{number:07d}", "web-tier", digest, "/plan.yaml", SCOPE, settings, images, START)
    return replace(run, **{"created_by": this_process().person, **changes})


def a_target(number: int = 1, **changes: object) -> Target:
    """Return a waiting target that may be tried twice. Its label has letters that no store may spoil."""
    order = Order(NEW_IMAGE, "Debian 12", "v2", metadata={"BYOL": "true"})
    target = Target(f"server-{number:04d}", f"web-{number:04d}", number, order, RUNNING, OLD_DISK, attempts_allowed=2)
    return replace(target, **{"labels": {"pair": "ä'\"\\\n"}, **changes})


def some_targets(count: int) -> list[Target]:
    """Return waiting targets, numbered from 0."""
    return [a_target(number) for number in range(count)]


def an_attempt(number: int = 1, **changes: object) -> Attempt:
    """Return an open attempt, sent at START to a stopped server."""
    attempt = Attempt(number, STOPPED, START, START, START + timedelta(hours=1))
    return replace(attempt, **changes)


def server_id(number: int) -> str:
    """Return the id that a cloud would give to the server with that number."""
    return f"616fb98f-46ca-475e-917e-{number:012x}"


def a_snapshot(
    status: str = "ACTIVE", *, image: str | None = OLD_IMAGE, disk: str | None = OLD_DISK, task: str | None = None
) -> ServerSnapshot:
    """Return what a read shows of a server with that status."""
    vm_state = {"ACTIVE": "active", "SHUTOFF": "stopped"}.get(status, "error")
    return ServerSnapshot(status, vm_state, task, 1 if status == "ACTIVE" else 4, disk, image)


def a_server(
    number: int, snapshot: ServerSnapshot | None = None, *, name: str | None = None, os_type: str = "Linux"
) -> Server:
    """Return a server of a project."""
    return Server(
        server_id(number), name or f"web-{number:02d}", snapshot or a_snapshot(), az="eu-de-01", os_type=os_type
    )


def an_inventory(servers: Iterable[Server]) -> Inventory:
    """Return these servers as the preflight reads them."""
    return Inventory({server.id: server for server in servers})
