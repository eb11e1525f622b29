"""One play from its spec to its trace: a run is frozen, and an operator carries it to its end, whatever befalls it."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from copy import deepcopy
from functools import partial
from typing import Any

from fleetos.limits import LEASE_TERM_S
from fleetos.model.journal.codec import event_json
from fleetos.model.journal.requests import RequestArguments, RequestKind
from fleetos.model.plan import PowerAfter
from fleetos.model.states import RUN_ENDS, Reason, RunState
from fleetos.sim.api.gateway import SimulatedCloud
from fleetos.sim.random_draws import RandomDraws
from fleetos.sim.scenario.faults import Rule
from fleetos.sim.virtual_time import now_s, run
from fleetos.sim.world.orders import ForeignOrder, SetFaults
from fleetos.store.leases import LEASE_LOOK_EVERY_S
from fleetos.store.memory_journal import MemoryRun
from tests.simulation.database_run import DatabaseRun, at_once
from tests.simulation.freeze import frozen
from tests.simulation.operator_acts import answer_late, ask, release, retriable, retry
from tests.simulation.process import PROCESS, Process, ProcessFaults, make_loop
from tests.simulation.run_context import NotedRecords, RunContext, play_time
from tests.simulation.run_trace import RunTrace
from tests.simulation.session import drive
from tests.simulation.spec import Act, Ask, Spec
from tests.support.ledger import Ledger

_DAY_S = 24 * 3600.0
# So often the operator resumes a run that nothing but a person can help, before he gives it up.
_STUCK_MAX = 3


def run_scenario(spec: Spec, log_line: Callable[[str], None] | None = None) -> RunTrace:
    """Return the trace of the spec: the same spec gives the same trace, and the same trace."""
    return run(lambda: _ScenarioRun(spec, log_line).trace(), lambda: make_loop(spec.freezes))


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


class _ScenarioRun:
    def __init__(self, spec: Spec, log_line: Callable[[str], None] | None) -> None:
        self._spec = spec
        self._tell = log_line
        cloud = SimulatedCloud(spec.scenario, spec.born.timestamp(), partial(play_time, spec.born.timestamp()))
        # Nothing goes wrong before the run is frozen.
        process_faults = ProcessFaults(frozenset(spec.deaths), list(spec.freezes), calm=True)
        self._context = RunContext(spec, cloud, self._log_line, process_faults, RandomDraws(spec.seed))
        self._processes = 0
        self._drivers: list[tuple[Process, asyncio.Task[None]]] = []
        self._retries = spec.operator.retries
        self._asking: list[asyncio.Future[None]] = []
        self._over = False
        self._stuck = 0

    async def trace(self) -> RunTrace:
        if not self._spec.filed:
            return await self._whole()
        with at_once():
            self._context.filed = DatabaseRun(self._context)
            try:
                return await self._whole()
            finally:
                await self._context.filed.close()

    async def _whole(self) -> RunTrace:
        await self._freeze()
        self._prepare()
        trace = await self._played()
        again = self._spec.again
        if again is None or not trace.came_to_end:
            return trace
        # What a judge of the first run is to see, is what was there when it ended.
        trace.ledger, trace.world = deepcopy((trace.ledger, trace.world))
        await self._release()
        self._log_line("the operator runs the plan again")
        await self._freeze_again(again)
        second = await self._played()
        second.earlier = trace
        return second

    async def _played(self) -> RunTrace:
        began_s, bound_s = now_s(), self._bound_s()
        self._over = False
        came_to_end = await self._operate(max(began_s, self._spec.calm_at_s) + bound_s)
        self._over = True
        await self._leave()
        if came_to_end:
            await answer_late(self._context, self._process())
        return self._told(began_s, bound_s, came_to_end=came_to_end)

    def _log_line(self, text: str) -> None:
        if self._tell is not None:
            process = PROCESS.get()
            self._tell(f"{now_s():12.3f} {'-' if process is None else process.number} {text}")

    # --- before the curtain ---

    async def _freeze(self, before: MemoryRun | None = None) -> None:
        """Freeze the plan by what the cloud shows, while nothing goes wrong."""
        spec, context = self._spec, self._context
        process = Process(0, ProcessFaults(frozenset(), []), spec.clocks, 0.0, self._log_line, spec.born)
        context.run = await frozen(context, process, before)
        context.run.records = NotedRecords(context.run.records, context.note_records)

    async def _freeze_again(self, faults: Sequence[Rule]) -> None:
        """Freeze the plan once more over the same servers. What is on its way from the first run stays so."""
        context, before = self._context, self._context.store
        context.process_faults.calm = True
        context.cloud.execute_order(SetFaults(kind="faults"))
        context.clear()
        await self._freeze(before)
        context.asked = []
        if now_s() < self._spec.calm_at_s:
            context.cloud.execute_order(SetFaults(kind="faults", rules=tuple(faults)))
            context.process_faults.calm = False

    def _prepare(self) -> None:
        """Let loose what goes wrong, each at its time."""
        spec, context, loop = self._spec, self._context, asyncio.get_running_loop()
        context.requests, context.asked, context.process_faults.calm = 0, [], False
        context.cloud.execute_order(SetFaults(kind="faults", rules=spec.faults))
        ids = list(context.cloud.world.servers)
        for act in spec.acts:
            if act.server < len(ids):
                loop.call_at(act.at_s, self._act, act, ids[act.server], context=Context())
        if spec.operator.abort_at_s is not None:
            loop.call_at(spec.operator.abort_at_s, self._ask, Ask(0.0, RequestKind.ABORT), ids, context=Context())
        for at_s, place in spec.taken:
            if place < len(ids):
                loop.call_at(at_s, self._take, ids[place], context=Context())
        for wanted in spec.operator.asks:
            loop.call_at(wanted.at_s, self._ask, wanted, ids, context=Context())
        if spec.steering is not None:
            loop.call_at(spec.steering.give_up_s, self._give_up, context=Context())
        loop.call_at(spec.calm_at_s, self._calm, context=Context())

    def _act(self, act: Act, server_id: str) -> None:
        done = self._context.cloud.execute_order(_foreign(act, server_id))
        # Nobody else may ask for its state for an hour.
        self._context.watch_servers()
        self._log_line(f"somebody: {act.act} {server_id[:8]} {'' if done else '(could not)'}")

    def _take(self, server_id: str) -> None:
        """Let another run claim the server, if this one has given it up."""
        store, claim = self._context.store, self._context.store.claims.get(server_id)
        held = self._context.filed is not None or (claim is not None and claim.held)
        if self._over or server_id not in store.targets or held:
            return
        store.taken[server_id] = "another"
        self._context.taken.setdefault(server_id, now_s())
        self._log_line(f"another run claims {server_id[:8]}")

    def _ask(self, one: Ask, ids: Sequence[str]) -> None:
        if self._over:
            return
        servers = tuple(ids[place] for place in one.servers if place < len(ids))
        arguments = RequestArguments(servers, one.concurrency)
        made = ask(self._context, self._process(), one.kind, "the operator wants it", arguments, one.by)
        self._asking.append(asyncio.ensure_future(made))

    def _give_up(self) -> None:
        """Abort what is not over, and retry nothing more: no window may open any more, or a group may stay full."""
        self._retries = 0
        if self._context.store.run.state not in RUN_ENDS:
            self._ask(Ask(0.0, RequestKind.ABORT), ())

    def _calm(self) -> None:
        """All faults end."""
        self._log_line("all faults end")
        process_faults = self._context.process_faults
        process_faults.calm, process_faults.deaths = True, frozenset()
        self._context.cloud.execute_order(SetFaults(kind="faults"))

    def _bound_s(self) -> float:
        """Return the seconds after the last fault by which the run must have come to its end.

        Each server, one group of as many as may change at once after the other, may need for each of its attempts a
        stop of both kinds, two change time-outs, the settle times of an unknown outcome with two resends, and a start.
        Where servers are stopped again as they were before, somebody may have to wait out the day in which one with an
        unanswered send is not stopped.
        """
        settings, targets = self._context.store.run.settings, len(self._context.store.targets)
        asks = self._spec.operator.asks
        groups = math.ceil(targets / min([settings.concurrency, *(one.concurrency or targets for one in asks)]))
        again = sum(one.kind is RequestKind.RETRY for one in asks)
        tries = settings.attempts + self._spec.operator.retries + again
        # An unknown outcome may be looked at for a settle and a change time-out, each send anew.
        look_s = 3 * (2 * settings.settle_s + 2 * settings.change_timeout_s)
        power_s = 4 * settings.stop_timeout_s + 3 * settings.start_timeout_s
        each_s = look_s + power_s + settings.max_backoff_s + 60 * settings.poll_max_s + 1200.0
        jumps_s = sum(abs(jump.by_s) for jump in self._spec.clocks.jumps)
        pauses_s = self._spec.operator.resume_s[1] * (10 + len(asks) + targets * tries)
        day_s = _DAY_S if self._spec.rollout.power_after is PowerAfter.AS_BEFORE else 0.0
        steering = self._spec.steering
        waits_s = 0.0 if steering is None else steering.give_up_s
        return waits_s + day_s + 3600.0 + groups * tries * each_s + 2 * jumps_s + pauses_s

    # --- the operator ---

    async def _operate(self, until_s: float) -> bool:
        """Return whether the run came to its end in time, once nobody is to drive it any more."""
        while now_s() < until_s:
            store = self._context.store
            if store.run.state in RUN_ENDS:
                if self._spec.operator.release:
                    await self._release()
                if not self._retries or not retriable(store):
                    return True
                self._retries -= 1
                self._log_line("the operator retries")
                await retry(self._context, self._process())
            try:
                async with asyncio.timeout(until_s - now_s()):
                    await self._drive()
            except TimeoutError:
                return False
            if self._context.sessions and self._context.sessions[-1].ended == "defect":
                return store.run.state in RUN_ENDS
            if store.run.state is RunState.PAUSED and store.run.reason is Reason.STUCK:
                self._stuck += 1
                if self._stuck == _STUCK_MAX:
                    self._give_up()
            if store.run.state not in RUN_ENDS:
                pause_s = self._spec.operator.resume_s
                await _pause(self._context.chance.between(pause_s, "resume", len(self._context.sessions)))
        return self._context.store.run.state in RUN_ENDS

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
                self._log_line(f"process {process.number} lost its lease to whoever waited for it")
                self._context.given_up[process.number] = self._context.commits[process.number]
                return

    def _begun(self) -> tuple[Process, asyncio.Task[None]]:
        process = self._process()
        return process, self._start(process, drive(process, self._context))

    def _woken(self) -> tuple[Process, asyncio.Task[None]] | None:
        """Return the process that was given up and has renewed its lease before anybody has taken it."""
        number = self._context.woken()
        return next((one for one in self._drivers if one[0].number == number and not one[1].done()), None)

    async def _lease_ran_out(self, process: Process, driver: asyncio.Task[None]) -> bool:
        """Return whether the lease of a process was watched for its whole term without a renewal."""
        seen, since_s = self._context.commits[process.number], now_s()
        while not driver.done():
            if now_s() - since_s >= LEASE_TERM_S:
                return True
            await asyncio.wait((driver,), timeout=LEASE_LOOK_EVERY_S)
            if self._context.commits[process.number] != seen:
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
        apart_s = clocks.apart_s * (2 * self._context.chance.unit("apart", number) - 1)
        return Process(number, self._context.process_faults, clocks, apart_s, self._log_line, self._spec.born)

    async def _release(self) -> None:
        if await release(self._context, self._process()):
            self._log_line("the operator lets unknown outcomes rest")

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
        if not self._context.env and not self._spec.distortion.echo:
            return []
        return [event_json(record.event) for record in self._context.store.records]

    def _told(self, began_s: float, bound_s: float, *, came_to_end: bool) -> RunTrace:
        context = self._context
        context.cloud.advance()
        if context.filed is not None:
            context.filed.reread()
        world, store = context.cloud.world, context.store
        ledger = Ledger(
            tuple(world.ledger.writes),
            tuple(world.ledger.disks.values()),
            world.ledger.requests,
            world.ledger.max_changes_in_flight,
            world.ledger.changes_in_flight,
        )
        return RunTrace(
            spec=self._spec,
            born_at=self._spec.born.timestamp(),
            run=store.run,
            targets=store.targets,
            records=store.records,
            ledger=ledger,
            world=world,
            sent=context.sent,
            asked=context.asked,
            written=context.written,
            waits=context.waits,
            sessions=context.sessions,
            requested=context.requested,
            taken=context.taken,
            deaths=context.process_faults.died,
            points=context.process_faults.points,
            freezes=context.process_faults.froze,
            requests=context.requests,
            began_s=began_s,
            ended_s=now_s(),
            calm_s=self._spec.calm_at_s,
            bound_s=bound_s,
            came_to_end=came_to_end,
            most_slots=context.most_slots,
            wanted=context.wanted,
            secrets=tuple(sorted(context.secrets)),
            torn=context.torn,
            texts=[*context.texts, *self._stored()],
            facts=context.facts,
        )
