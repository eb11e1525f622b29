"""Prepare writes: permits, batches, intents. They may be sent once the turn is durable."""

from collections.abc import Callable
from datetime import timedelta

from fleetos.clock import Moment
from fleetos.engine.performer import Action, StartServers, StopServers, SubmitChange
from fleetos.engine.protocols import Cloud, SecretSource
from fleetos.engine.tracker import Tracker
from fleetos.engine.turn import Turn
from fleetos.errors import InputError
from fleetos.model.journal.events import ChangeIntended, PowerIntended, RunMoved
from fleetos.model.permit import Permit
from fleetos.model.plan import StopMode
from fleetos.model.states import COMES_TO_REST, Reason, RunState
from fleetos.rules.needs import PowerNeed, SubmitNeed


class Sender:
    """Sender of one run: turns needs to write into actions with intents, as far as permits allow."""

    def __init__(self, tracker: Tracker, cloud: Cloud, secrets: SecretSource, new_id: Callable[[], str]) -> None:
        self._tracker = tracker
        self._cloud = cloud
        self._secrets = secrets
        self._new_id = new_id
        self.waits_for_permit = False
        """True if something waits for a permit and for nothing else."""

    def prepare_writes(self, turn: Turn, now: Moment) -> list[Action]:
        """Return the writes that may go out once the turn, which has their intents, is durable. Submits come first."""
        actions: list[Action] = []
        self.waits_for_permit = False
        waiting = self._tracker.agenda.writes
        for server_id in () if turn.run.state is RunState.PAUSED else tuple(waiting.get(SubmitNeed(), ())):
            if turn.slots_taken >= turn.run.settings.concurrency:
                break
            action = self._prepare_submit(turn, now, server_id)
            if action is None:
                break
            actions += action
        if turn.run.state is RunState.PAUSED and turn.run.reason not in COMES_TO_REST:
            return actions
        powers = [(need, list(server_ids)) for need, server_ids in waiting.items() if isinstance(need, PowerNeed)]
        for need, server_ids in powers:
            for start in range(0, len(server_ids), need.max_servers):
                action = self._prepare_power_call(turn, now, need, server_ids[start : start + need.max_servers])
                if action is None:
                    return actions
                actions += action
        return actions

    def _prepare_submit(self, turn: Turn, now: Moment, server_id: str) -> list[Action] | None:
        """Return the submit in a list, or an empty list if the target decides otherwise by now.

        Return None if no target can be submitted: there is no permit, or what is to be sent has changed, which pauses
        the run. Get the permit first; otherwise every waiting target is evaluated in each turn.
        """
        permit = self._take_permit()
        if permit is None:
            return None
        action = self._write_change_intent(turn, now, server_id, permit)
        if action is None:
            permit.give_back()
            return None if turn.run.state is RunState.PAUSED else []
        return [action]

    def _write_change_intent(self, turn: Turn, now: Moment, server_id: str, permit: Permit) -> SubmitChange | None:
        if SubmitNeed() not in self._tracker.evaluate(turn, server_id) or self._tracker.hold_back(turn, server_id):
            return None
        target, observations = turn.target(server_id), self._tracker.observations_of(server_id)
        if observations is None or observations.series is None or observations.series.snapshot is None:
            return None
        try:
            secrets = self._secrets.resolve(target.order)
        except InputError as error:
            self._tracker.write_event(turn, RunMoved(RunState.PAUSED, Reason.INPUT_CHANGED, str(error)))
            return None
        attempt = target.attempt
        number = attempt.number if attempt is not None else len(target.attempts) + 1
        deadline = turn.at + timedelta(seconds=turn.run.settings.change_timeout_s)
        seen = observations.series.last
        self._tracker.write_event(
            turn, ChangeIntended(server_id, number, observations.series.snapshot, deadline, seen.cloud_time)
        )
        self._tracker.evaluate(turn, server_id)
        stop_first = turn.run.settings.stop is StopMode.API
        return SubmitChange(server_id, number, target.order, stop_first, now, permit, secrets)

    def _take_permit(self) -> Permit | None:
        permit = self._cloud.permit()
        self.waits_for_permit = self.waits_for_permit or permit is None
        return permit

    def _prepare_power_call(self, turn: Turn, now: Moment, need: PowerNeed, wanted: list[str]) -> list[Action] | None:
        """Return one stop or start, in a list, for the servers that still need it; None if there is no permit."""
        needing = (
            server_id
            for server_id in wanted
            if self._tracker.evaluate(turn, server_id) == (need,) and not self._tracker.hold_back(turn, server_id)
        )
        first = next(needing, None)
        if first is None:
            return []
        permit = self._take_permit()
        if permit is None:
            return None
        server_ids = [first, *needing]
        call_id = self._new_id()
        for server_id in server_ids:
            self._tracker.write_event(turn, PowerIntended(server_id, call_id, need.verb, need.hard, len(server_ids)))
            self._tracker.evaluate(turn, server_id)
        if need.verb == "stop":
            return [StopServers(call_id, tuple(server_ids), need.hard, now, permit)]
        return [StartServers(call_id, tuple(server_ids), now, permit)]
