"""One play from its spec to its story: a run is frozen, and an operator carries it to its end, whatever befalls it."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from copy import deepcopy
from typing import Any

from fleetos.limits import LEASE_TERM_S
from fleetos.model.journal.codec import event_json
from fleetos.model.journal.requests import RequestKind
from fleetos.model.plan import PowerAfter
from fleetos.model.states import RETRIABLE, RUN_ENDS
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.faults import Rule
from fleetos.sim.virtual_time import now_s, run
from fleetos.sim.world.orders import ForeignOrder, SetFaults
from fleetos.store.leases import LEASE_LOOK_EVERY_S
from fleetos.store.memory_journal import MemoryRun
from tests.simulation.filed import Filed, at_once
from tests.simulation.freezing import frozen
from tests.simulation.operating import release, retry
from tests.simulation.process import BORN, PROCESS, Fates, Process, make_loop
from tests.simulation.run_context import Noted, Stagehand, play_time
from tests.simulation.run_trace import Story
from tests.simulation.session import drive
from tests.simulation.spec import Act, Spec
from tests.support.ledger import Ledger

_DAY_S = 24 * 3600.0


def play(spec: Spec, trace: Callable[[str], None] | None = None) -> Story:
    """Return the story of the spec: the same spec gives the same story, and the same trace."""
    return run(lambda: _Play(spec, trace).story(), lambda: make_loop(spec.freezes))


async def _pause(seconds: float) -> None:
    """Nothing, so long after the end of this millisecond.

    The tasks of a process that ends are ended in the order of their addresses, which may take one round more or less.
    """
    now = now_s()
    await asyncio.sleep(math.ceil(now * 1000) / 1000 + seconds - now)


def _foreign(act: Act, server_id: str) -> ForeignOrder:
    return ForeignOrder(
        kind="foreign", server_id=server_id, act=act.act, image=act.image, fails=act.fails, in_vain=act.in_vain
    )


class _Play:
    def __init__(self, spec: Spec, trace: Callable[[str], None] | None) -> None:
        self._spec = spec
        self._tell = trace
        cloud = SimulatedCloud(spec.scenario, BORN.timestamp(), play_time)
        # Nothing goes wrong before the run is frozen.
        fates = Fates(frozenset(spec.deaths), list(spec.freezes), calm=True)
        self._stage = Stagehand(spec, cloud, self._trace, fates, RandomDraws(spec.seed))
        self._processes = 0
        self._drivers: list[tuple[Process, asyncio.Task[None]]] = []
        self._retries = spec.operator.retries
        self._asking: asyncio.Future[None] | None = None

    async def story(self) -> Story:
        if not self._spec.filed:
            return await self._whole()
        with at_once():
            self._stage.filed = Filed(self._stage)
            try:
                return await self._whole()
            finally:
                await self._stage.filed.close()

    async def _whole(self) -> Story:
        await self._freeze()
        self._prepare()
        story = await self._played()
        again = self._spec.again
        if again is None or not story.came_to_end:
            return story
        # What a judge of the first run is to see, is what was there when it ended.
        story.ledger, story.world = deepcopy((story.ledger, story.world))
        await self._release()
        self._trace("the operator runs the plan again")
        await self._freeze_again(again)
        second = await self._played()
        second.earlier = story
        return second

    async def _played(self) -> Story:
        began_s, bound_s = now_s(), self._bound_s()
        came_to_end = await self._operate(max(began_s, self._spec.calm_at_s) + bound_s)
        await self._leave()
        return self._told(began_s, bound_s, came_to_end=came_to_end)

    def _trace(self, text: str) -> None:
        if self._tell is not None:
            process = PROCESS.get()
            self._tell(f"{now_s():12.3f} {'-' if process is None else process.number} {text}")

    # --- before the curtain ---

    async def _freeze(self, before: MemoryRun | None = None) -> None:
        """Freeze the plan by what the cloud shows, while nothing goes wrong."""
        spec, stage = self._spec, self._stage
        process = Process(0, Fates(frozenset(), []), spec.clocks, 0.0, self._trace)
        stage.run = await frozen(stage, process, before)
        stage.run.records = Noted(stage.run.records, stage.note_records)

    async def _freeze_again(self, faults: Sequence[Rule]) -> None:
        """Freeze the plan once more over the same servers. What is on its way from the first run stays so."""
        stage, before = self._stage, self._stage.store
        stage.fates.calm = True
        stage.cloud.execute_order(SetFaults(kind="faults"))
        stage.clear()
        await self._freeze(before)
        stage.asked = []
        if now_s() < self._spec.calm_at_s:
            stage.cloud.execute_order(SetFaults(kind="faults", rules=tuple(faults)))
            stage.fates.calm = False

    def _prepare(self) -> None:
        """Let loose what goes wrong, each at its time."""
        spec, stage, loop = self._spec, self._stage, asyncio.get_running_loop()
        stage.requests, stage.asked, stage.fates.calm = 0, [], False
        stage.cloud.execute_order(SetFaults(kind="faults", rules=spec.faults))
        ids = list(stage.cloud.world.servers)
        for act in spec.acts:
            if act.server < len(ids):
                loop.call_at(act.at_s, self._act, act, ids[act.server], context=Context())
        if spec.operator.abort_at_s is not None:
            loop.call_at(spec.operator.abort_at_s, self._abort, context=Context())
        loop.call_at(spec.calm_at_s, self._calm, context=Context())

    def _act(self, act: Act, server_id: str) -> None:
        done = self._stage.cloud.execute_order(_foreign(act, server_id))
        self._trace(f"somebody: {act.act} {server_id[:8]} {'' if done else '(could not)'}")

    def _abort(self) -> None:
        self._trace("the operator asks to abort the run")
        filed = self._stage.filed
        if filed is None:
            self._stage.store.add_request(RequestKind.ABORT, "operator")
        else:
            self._asking = asyncio.ensure_future(filed.ask(self._process(), RequestKind.ABORT))

    def _calm(self) -> None:
        """All faults end."""
        self._trace("all faults end")
        fates = self._stage.fates
        fates.calm, fates.deaths = True, frozenset()
        self._stage.cloud.execute_order(SetFaults(kind="faults"))

    def _bound_s(self) -> float:
        """Return the seconds after the last fault by which the run must have come to its end.

        Each server, one group of as many as may change at once after the other, may need for each of its attempts a
        stop of both kinds, two change time-outs, the settle times of an unknown outcome with two resends, and a start.
        Where servers are stopped again as they were before, somebody may have to wait out the day in which one with an
        unanswered send is not stopped.
        """
        settings, targets = self._stage.store.run.settings, len(self._stage.store.targets)
        groups = math.ceil(targets / settings.concurrency)
        tries = settings.attempts + self._spec.operator.retries
        # An unknown outcome may be looked at for a settle and a change time-out, each send anew.
        look_s = 3 * (2 * settings.settle_s + 2 * settings.change_timeout_s)
        power_s = 4 * settings.stop_timeout_s + 3 * settings.start_timeout_s
        each_s = look_s + power_s + settings.max_backoff_s + 60 * settings.poll_max_s + 1200.0
        jumps_s = sum(abs(jump.by_s) for jump in self._spec.clocks.jumps)
        pauses_s = self._spec.operator.resume_s[1] * (10 + targets * tries)
        day_s = _DAY_S if self._spec.rollout.power_after is PowerAfter.AS_BEFORE else 0.0
        return day_s + 3600.0 + groups * tries * each_s + 2 * jumps_s + pauses_s

    # --- the operator ---

    async def _operate(self, until_s: float) -> bool:
        """Return whether the run came to its end in time, once nobody is to drive it any more."""
        while now_s() < until_s:
            store = self._stage.store
            if store.run.state in RUN_ENDS:
                if self._spec.operator.release:
                    await self._release()
                if not self._retries or not any(one.state in RETRIABLE for one in store.targets.values()):
                    return True
                self._retries -= 1
                self._trace("the operator retries")
                await retry(self._stage, self._process())
            try:
                async with asyncio.timeout(until_s - now_s()):
                    await self._drive()
            except TimeoutError:
                return False
            if self._stage.sessions and self._stage.sessions[-1].ended == "defect":
                return store.run.state in RUN_ENDS
            if store.run.state not in RUN_ENDS:
                pause_s = self._spec.operator.resume_s
                await _pause(self._stage.chance.between(pause_s, "resume", len(self._stage.sessions)))
        return self._stage.store.run.state in RUN_ENDS

    async def _drive(self) -> None:
        """Return once one process has ended, or another may take its run over."""
        process, driver = self._woken() or self._begun()
        while not driver.done():
            stopped = asyncio.ensure_future(process.stopped.wait())
            await asyncio.wait((driver, stopped), return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            freeze = process.frozen
            process.stopped.clear()
            if driver.done() or freeze is None or freeze.taken_over_after_s is None:
                continue
            await asyncio.wait((driver,), timeout=freeze.taken_over_after_s)
            if await self._lease_ran_out(process, driver):
                self._trace(f"process {process.number} lost its lease to whoever waited for it")
                self._stage.given_up[process.number] = self._stage.commits[process.number]
                return

    def _begun(self) -> tuple[Process, asyncio.Task[None]]:
        process = self._process()
        return process, self._start(process, drive(process, self._stage))

    def _woken(self) -> tuple[Process, asyncio.Task[None]] | None:
        """Return the process that was given up and has renewed its lease before anybody has taken it."""
        number = self._stage.woken()
        return next((one for one in self._drivers if one[0].number == number and not one[1].done()), None)

    async def _lease_ran_out(self, process: Process, driver: asyncio.Task[None]) -> bool:
        """Return whether the lease of a process was watched for its whole term without a renewal."""
        seen, since_s = self._stage.commits[process.number], now_s()
        while not driver.done():
            if now_s() - since_s >= LEASE_TERM_S:
                return True
            await asyncio.wait((driver,), timeout=LEASE_LOOK_EVERY_S)
            if self._stage.commits[process.number] != seen:
                return False
        return False

    def _start(self, process: Process, main: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        context = Context()
        context.run(PROCESS.set, process)
        driver = asyncio.get_running_loop().create_task(main, context=context)
        self._drivers.append((process, driver))
        return driver

    def _process(self) -> Process:
        self._processes += 1
        number, clocks = self._processes, self._spec.clocks
        apart_s = clocks.apart_s * (2 * self._stage.chance.unit("apart", number) - 1)
        return Process(number, self._stage.fates, clocks, apart_s, self._trace)

    async def _release(self) -> None:
        if await release(self._stage, self._process()):
            self._trace("the operator lets unknown outcomes rest")

    # --- after the curtain ---

    async def _leave(self) -> None:
        """Let those who were stopped go on and find that others have taken over."""
        waiting = [driver for _, driver in self._drivers if not driver.done()]
        if waiting:
            await asyncio.wait(waiting, timeout=_DAY_S)
        for one in waiting:
            one.cancel()

    def _stored(self) -> list[str]:
        """The journal as a database would hold it, where there is a secret that could be in it."""
        if not self._stage.env and not self._spec.distortion.echo:
            return []
        return [event_json(record.event) for record in self._stage.store.records]

    def _told(self, began_s: float, bound_s: float, *, came_to_end: bool) -> Story:
        stage = self._stage
        stage.cloud.advance()
        if stage.filed is not None:
            stage.filed.reread()
        world, store = stage.cloud.world, stage.store
        ledger = Ledger(
            tuple(world.ledger.writes),
            tuple(world.ledger.disks.values()),
            world.ledger.requests,
            world.ledger.max_changes_in_flight,
            world.ledger.changes_in_flight,
        )
        return Story(
            spec=self._spec,
            born_at=BORN.timestamp(),
            run=store.run,
            targets=store.targets,
            records=store.records,
            ledger=ledger,
            world=world,
            sent=stage.sent,
            asked=stage.asked,
            written=stage.written,
            sessions=stage.sessions,
            deaths=stage.fates.died,
            points=stage.fates.points,
            freezes=stage.fates.froze,
            requests=stage.requests,
            began_s=began_s,
            ended_s=now_s(),
            calm_s=self._spec.calm_at_s,
            bound_s=bound_s,
            came_to_end=came_to_end,
            most_slots=stage.most_slots,
            wanted=stage.wanted,
            secrets=tuple(sorted(stage.secrets)),
            torn=stage.torn,
            texts=[*stage.texts, *self._stored()],
            facts=stage.facts,
        )
