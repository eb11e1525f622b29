"""Calls between `fleetos apply`, the POST of a changeos and the journal, from the stacks of a real run.

`python -m tests.integration.hops` runs the command in this process, in the present folder, against the simulated cloud
without sockets, and prints the stacks as JSON. Only frames of fleetos count; a task continues the stack that began it.
"""

import asyncio
import json
import sys
from asyncio import events
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import httpx
from sqlalchemy.ext.asyncio import AsyncConnection

import fleetos
from fleetos.cli.main import main
from fleetos.clock import SystemClock
from fleetos.cloud import connect
from fleetos.cloud.http.addresses import Proxies
from fleetos.cloud.http.transport import Transport
from fleetos.engine import turn
from fleetos.errors import AnswerLost, NotSent
from fleetos.model.journal.events import ChangeAnswered, TargetEvent
from fleetos.model.run import Target
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.in_process import SimTransport
from fleetos.sim.scenario.scenario import Scenario
from tests.support.plan_texts import plan

Stack = list[tuple[str, str]]

ROOT = Path(fleetos.__file__).parent
SERVER = "web-1"
SCENARIO = {
    "servers": [{"count": 1, "name": "web-#", "state": "running"}],
    "durations": {"stop": [0.05, 0.05], "start": [0.05, 0.05], "change": [0.2, 0.2], "job_init": [0, 0]},
}
# What each stack ends with.
POST, JUDGED, DURABLE = "post", "judged", "durable"

_began: WeakKeyDictionary[asyncio.Task[Any], Stack] = WeakKeyDictionary()
_create_task = asyncio.BaseEventLoop.create_task
_open_transport = connect.open_transport
_fold_target = turn.fold_target
_execute = AsyncConnection.execute
stacks: dict[str, Stack] = {}


def _frames() -> Iterator[FrameType]:
    """Yield the frames of this task up to the event loop, the innermost first."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not (frame.f_code.co_name == "_run" and frame.f_code.co_filename == events.__file__):
        yield frame
        frame = frame.f_back


def _stack() -> Stack:
    """Return file and function of each frame of fleetos, the outermost first."""
    here: Stack = []
    for frame in _frames():
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(ROOT) and file.relative_to(ROOT).parts[0] != "sim":
            here.insert(0, (file.relative_to(ROOT).as_posix(), frame.f_code.co_qualname))
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return here
    return here if task is None else [*_began[task], *here]


def _note(what: str) -> None:
    stacks.setdefault(what, _stack())


def _task(loop: asyncio.BaseEventLoop, coroutine: Coroutine[Any, Any, Any], **how: Any) -> asyncio.Task[Any]:
    task = _create_task(loop, coroutine, **how)
    _began[task] = _stack()
    return task


class Noting(SimTransport):
    """The simulated cloud; notes who sends a changeos."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the cloud's answer."""
        if request.url.path.endswith("/changeos"):
            _note(POST)
        return await super().handle_async_request(request)


@asynccontextmanager
async def _in_process(*, proxies: Proxies, **_sockets: object) -> AsyncGenerator[Transport]:
    clock = SystemClock()
    cloud = SimulatedCloud(Scenario.model_validate(SCENARIO), clock.now().timestamp(), lambda: clock.now().timestamp())
    inner = Noting(cloud, anyio.sleep, lambda request: NotSent(str(request.url)), lambda _: AnswerLost("lost"))
    async with _open_transport(proxies=proxies, inner=inner) as transport:
        yield transport


def _fold(before: Target | None, event: TargetEvent, at: datetime) -> Target:
    if isinstance(event, ChangeAnswered):
        _note(JUDGED)
    return _fold_target(before, event, at)


async def _executed(connection: AsyncConnection, statement: Any, parameters: Any = None, **how: Any) -> Any:
    if getattr(statement, "is_insert", False) and '"change-answered"' in str(parameters):
        _note(DURABLE)
    return await _execute(connection, statement, parameters, **how)


def trace_run(*arguments: str) -> object:
    """Run the command and return its exit code."""
    # The loop of the extra `speed` makes its tasks where nobody can look on.
    blocked: dict[str, Any] = {"uvloop": None}
    sys.modules.update(blocked)
    replaced: list[tuple[object, str, Callable[..., Any]]] = [
        (asyncio.BaseEventLoop, "create_task", _task),
        (connect, "open_transport", _in_process),
        (turn, "fold_target", _fold),
        (AsyncConnection, "execute", _executed),
    ]
    for owner, name, replacement in replaced:
        setattr(owner, name, replacement)
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as left:
        return left.code
    return 0


def run() -> None:
    """Apply a plan for one server, and print the stacks."""
    Path("plan.yaml").write_text(plan([SERVER]), encoding="utf-8")
    code = trace_run("apply", "plan.yaml", "--yes", "--db", "fleetos.db")
    print(json.dumps({"code": code, **stacks}), file=sys.stderr)


if __name__ == "__main__":
    run()
