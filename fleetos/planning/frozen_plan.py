"""Frozen plan file: write it, and compare it with the cloud. It contains no secrets."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fleetos.errors import FleetosError, InputError, Problem, UsageError
from fleetos.files import UnreadableFile, read_bounded, write_private
from fleetos.limits import PLAN_MAX_SERVERS, TEXT_MAX_LETTERS
from fleetos.model.plan import Plan
from fleetos.model.preview import Act, act_of
from fleetos.model.run import Order, Run, Target
from fleetos.model.states import RunState, TargetState
from fleetos.model.steering.rollout import UNSTEERED
from fleetos.planning.freeze import FrozenRun

# A frozen plan: 100,000 servers of some 400 bytes each.
FROZEN_PLAN_MAX_BYTES = 64 * 1024 * 1024
_KIND = "fleetos-frozen-plan"
_FREEZE_AGAIN_HINT = "freeze it again: fleetos plan PLAN --out FILE"
_Text = Annotated[str, Field(max_length=4096)]
_Id = Annotated[str, Field(max_length=TEXT_MAX_LETTERS)]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FrozenServer(_Shape):
    """A server of a frozen plan: the action on it, and the disk and image on which the action was decided."""

    id: _Id
    name: _Id
    action: Literal["change", "skip", "refuse"]
    reason: _Id | None
    """Why the server is refused; None unless it is."""
    system_disk: _Id | None
    image_before: _Id | None
    image_after: _Id
    reinstall: bool
    api: Literal["v1", "v2"]
    order: _Id
    """Digest of all that the server gets, with login, user data and metadata; secrets count by name alone."""


class FrozenPlan(_Shape):
    """A frozen plan, as its file holds it."""

    kind: Literal["fleetos-frozen-plan"]
    v: Literal[1]
    made_at: datetime
    plan_path: _Text
    plan_sha256: _Id
    """Digest of what the plan says."""
    name: _Id
    digest: _Id
    """Digest of the run: of the plan in its cloud, region and project."""
    cloud: _Id | None
    region: _Id | None
    project_id: _Id
    images: dict[_Id, _Id]
    """Image ids by the plan's words for images."""
    servers: Annotated[tuple[FrozenServer, ...], Field(max_length=PLAN_MAX_SERVERS, strict=False)]
    sha256: _Id
    """Digest of everything else in the file."""
    steering: _Id | None = None
    """Digest of waves, groups, budgets and windows, and of the wave of each server; None if the plan has none."""

    @property
    def unwritten(self) -> set[str]:
        """Keys that the file leaves out."""
        return {"steering"} if self.steering is None else set()


class PlanOutdated(FleetosError):
    """Refusal: a frozen plan no longer agrees with the cloud, or with the plan that it was made from."""

    exit_code = 65


def is_frozen_plan(path: Path) -> bool:
    """Return whether the file begins as a frozen plan does. A pipe or an unreadable file does not."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            begin = file.read(64)
    except (OSError, ValueError):
        return False
    return "".join(begin.decode("utf-8", "replace").split()).startswith(f'{{"kind":"{_KIND}"')


def make_frozen_plan(plan: Plan, frozen: FrozenRun) -> FrozenPlan:
    """Build the content of a frozen plan file from the plan and the run that it was frozen into."""
    run = frozen.run
    content = FrozenPlan(
        kind=_KIND,
        v=1,
        made_at=run.created_at,
        plan_path=str(plan.path),
        plan_sha256=plan.digest,
        name=run.name,
        digest=run.digest,
        cloud=run.scope.cloud,
        region=run.scope.region,
        project_id=run.scope.project_id,
        images=dict(run.images),
        servers=tuple(map(_freeze_server, frozen.targets)),
        sha256="",
        steering=_steering_digest(run, frozen.targets),
    )
    return content.model_copy(update={"sha256": _sha256(content)})


def check_replaceable(path: Path) -> None:
    """Raise UsageError if the path holds anything but a frozen plan: it would be lost."""
    if os.path.lexists(path) and not is_frozen_plan(path):
        raise UsageError(f"{path} is there already and is not a frozen plan", "give --out a name that is free")


def write_frozen_plan(content: FrozenPlan, path: Path) -> None:
    """Write the whole file, readable by its owner only. Raise InputError if that fails.

    Raise UsageError if it would replace anything but a frozen plan.
    """
    check_replaceable(path)
    try:
        write_private(path, f"{content.model_dump_json(indent=1, exclude=content.unwritten)}\n".encode())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no file can have this name"
        problem = Problem(str(path), None, None, "", f"cannot be written: {reason}", "give another --out")
        raise InputError((problem,)) from None


def read_frozen_plan(path: Path) -> FrozenPlan:
    """Read a frozen plan. Raise InputError if the file is not as it was written."""
    try:
        content = FrozenPlan.model_validate_json(read_bounded(path, FROZEN_PLAN_MAX_BYTES))
    except UnreadableFile as error:
        raise InputError((error.problem(path),)) from None
    except ValidationError:
        text = "is no whole frozen plan of this version: it was cut short or changed, or another version wrote it"
        raise InputError((Problem(str(path), None, None, "", text, _FREEZE_AGAIN_HINT),)) from None
    if content.sha256 != _sha256(content):
        text = "was changed after `fleetos plan --out` wrote it"
        raise InputError((Problem(str(path), None, None, "", text, _FREEZE_AGAIN_HINT),))
    return content


def check_plan(written: FrozenPlan, plan: Plan) -> None:
    """Raise PlanOutdated if the plan says something else than when it was frozen."""
    if plan.digest != written.plan_sha256:
        raise PlanOutdated(f"{plan.path} says something else than when it was frozen", _FREEZE_AGAIN_HINT)


def differences(written: FrozenPlan, current: FrozenRun) -> Iterator[str]:
    """Yield each difference between a frozen plan and the same plan frozen now, as a sentence.

    Power and time do not count.
    """
    yield from _run_differences(written, current.run, current.targets)
    before = {server.id: server for server in written.servers}
    after = {target.server_id: _freeze_server(target) for target in current.targets}
    for server_id, old in before.items():
        new = after.get(server_id)
        if new is None:
            yield f"{old.name} ({server_id}) is not among the servers of the plan any more"
        elif new != old:
            yield from _server_differences(old, new)
    for server_id in after.keys() - before.keys():
        yield f"{after[server_id].name} ({server_id}) was not among the servers of the plan"


def differences_left(written: FrozenPlan, run: Run, targets: Iterable[Target]) -> Iterator[str]:
    """Yield each difference between a frozen plan and what an unfinished run still has to do, as a sentence.

    A server that the run has changed already, by the same order and from the same disk, is no difference.
    """
    members = {target.server_id: target for target in targets}
    yield from _run_differences(written, run, members.values())
    if run.state is RunState.FINISHING:
        yield f"run {run.id} is being ended and changes no more servers"
        return
    to_change = {server.id: server for server in written.servers if server.action == "change"}
    actions = {server.id: _describe_action(server) for server in written.servers}
    for server_id, target in members.items():
        if not target.ended and server_id not in to_change:
            yield f"{target.name} ({server_id}): the run changes it, {_describe_frozen_action(actions.get(server_id))}"
    for server_id, server in to_change.items():
        member = members.get(server_id)
        if member is None:
            yield f"{server.name} ({server_id}): the frozen plan changes it, the run does not have it"
        elif member.ended and member.state is not TargetState.DONE:
            yield f"{server.name} ({server_id}): the frozen plan changes it, in the run it is {member.state}"
        else:
            current = _as_in_run(server, member)
            if current != server:
                yield from _server_differences(server, current)


def _describe_frozen_action(action: str | None) -> str:
    return "the frozen plan does not list it" if action is None else f"the frozen plan says {action}"


def _as_in_run(server: FrozenServer, target: Target) -> FrozenServer:
    """Return the server as the run has it. Its disk is the frozen one, or one that a failed attempt of the run left."""
    disks = {target.baseline.disk, target.disk}
    return server.model_copy(
        update={
            "system_disk": server.system_disk if server.system_disk in disks else target.disk,
            "image_after": target.order.image_id,
            "reinstall": target.order.reinstall,
            "api": target.order.api,
            "order": _order_digest(target.order),
        }
    )


def _run_differences(written: FrozenPlan, run: Run, targets: Iterable[Target]) -> Iterator[str]:
    if written.project_id != run.scope.project_id:
        yield f"the project is {run.scope.project_id}, not {written.project_id}"
    elif written.digest != run.digest:
        yield f"the cloud is {run.scope.cloud or 'that of the OS_* variables'} in {run.scope.region}"
    for name, image_id in written.images.items():
        if run.images.get(name) != image_id:
            yield f"the image {name} now means {run.images.get(name)}, not {image_id}"
    if written.steering != _steering_digest(run, targets):
        yield "waves, groups, budgets or windows are not those of the frozen plan"


def _steering_digest(run: Run, targets: Iterable[Target]) -> str | None:
    # The start is no part of a plan, but of the call that applies it.
    steering = replace(run.steering, not_before=None)
    if steering == UNSTEERED:
        return None
    content = (asdict(steering), sorted((target.server_id, target.wave) for target in targets))
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _server_differences(old: FrozenServer, new: FrozenServer) -> Iterator[str]:
    values: Mapping[str, tuple[str | None, str | None]] = {
        "system disk": (old.system_disk, new.system_disk),
        "image": (old.image_before, new.image_before),
        "new image": (old.image_after, new.image_after),
        "API": (old.api, new.api),
        "name": (old.name, new.name),
    }
    changed = [f"its {word} is {now}, not {was}" for word, (was, now) in values.items() if was != now]
    if not changed and old.order != new.order and old.reinstall == new.reinstall:
        changed.append("its login, user data or metadata are not those of the frozen plan")
    if old.reinstall != new.reinstall:
        changed.append(f"the plan {'now reinstalls it' if new.reinstall else 'no longer reinstalls it'}")
    if (old.action, old.reason) != (new.action, new.reason):
        changed.append(f"now: {_describe_action(new)}, then: {_describe_action(old)}")
    yield f"{old.name} ({old.id}): {'; '.join(changed)}"


def _describe_action(server: FrozenServer) -> str:
    return server.action if server.reason is None else f"{server.action} ({server.reason})"


def _freeze_server(target: Target) -> FrozenServer:
    act = act_of(target)
    return FrozenServer(
        id=target.server_id,
        name=target.name,
        action=act.value,
        reason=target.reason if act is Act.REFUSE else None,
        system_disk=target.baseline.disk,
        image_before=target.baseline.likely_image,
        image_after=target.order.image_id,
        reinstall=target.order.reinstall,
        api=target.order.api,
        order=_order_digest(target.order),
    )


def _order_digest(order: Order) -> str:
    # The image's id identifies it; its name may change.
    content = asdict(replace(order, image_name=""))
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _sha256(content: FrozenPlan) -> str:
    fields = content.model_dump(mode="json", exclude={"sha256"} | content.unwritten)
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
