"""Writes on their way out: permits, batches, intents. What is returned may be sent once the turn is durable."""

from collections.abc import Callable
from datetime import timedelta

from fleetos.clock import Moment
from fleetos.engine.performer import StartServers, StopServers, SubmitChange, Write
from fleetos.engine.protocols import Cloud, Permit, SecretSource
from fleetos.engine.tracker import Tracker
from fleetos.engine.turn import Turn
from fleetos.errors import InputError
from fleetos.model.journal.events import ChangeIntended, PowerIntended, RunMoved
from fleetos.model.plan import StopMode
from fleetos.model.states import Reason, RunState
from fleetos.rules.needs import PowerNeed, Submit


class Sender:
    """Turns the needs to write into actions with intents, as far as permits allow.

    `starved`: whether something waits for a permit and for nothing else.
    """

    def __init__(self, books: Tracker, cloud: Cloud, secrets: SecretSource, new_id: Callable[[], str]) -> None:
        self._books = books
        self._cloud = cloud
        self._secrets = secrets
        self._new_id = new_id
        self.starved = False

    def serve(self, turn: Turn, now: Moment) -> list[Write]:
        """The writes that may go out now; their intents are in the turn. Submits come before starts and stops."""
        actions: list[Write] = []
        self.starved = False
        waiting = self._books.agenda.writes
        for server_id in tuple(waiting.get(Submit(), ())):
            if turn.slots_taken >= turn.run.settings.concurrency:
                break
            action = self._submit(turn, now, server_id)
            if action is None:
                break
            actions += action
        if turn.run.state is RunState.PAUSED:
            return actions
        powers = [(need, list(server_ids)) for need, server_ids in waiting.items() if isinstance(need, PowerNeed)]
        for need, server_ids in powers:
            for start in range(0, len(server_ids), need.at_most):
                action = self._power(turn, now, need, server_ids[start : start + need.at_most])
                if action is None:
                    return actions
                actions += action
        return actions

    def _submit(self, turn: Turn, now: Moment, server_id: str) -> list[Write] | None:
        """The submit; nothing if the target decides otherwise by now; None if nobody can send: no permit is to be had,
        or what is to be sent has changed, which pauses the run.

        Nobody is asked before there is a permit: whoever waits for one would be asked in every turn.
        """
        permit = self._permit()
        if permit is None:
            return None
        action = self._intended(turn, now, server_id, permit)
        if action is None:
            permit.give_back()
            return None if turn.run.state is RunState.PAUSED else []
        return [action]

    def _intended(self, turn: Turn, now: Moment, server_id: str, permit: Permit) -> SubmitChange | None:
        if Submit() not in self._books.settle(turn, server_id):
            return None
        target, sighting = turn.target(server_id), self._books.observations_of(server_id)
        if sighting is None or sighting.watch is None or sighting.watch.picture is None:
            return None
        try:
            secrets = self._secrets.resolve(target.order)
        except InputError as error:
            self._books.write(turn, RunMoved(RunState.PAUSED, Reason.INPUT_CHANGED, str(error)))
            return None
        attempt = target.attempt
        number = attempt.number if attempt is not None else len(target.attempts) + 1
        deadline = turn.at + timedelta(seconds=turn.run.settings.change_timeout_s)
        seen = sighting.watch.last
        self._books.write(turn, ChangeIntended(server_id, number, sighting.watch.picture, deadline, seen.told_at))
        self._books.settle(turn, server_id)
        stop_first = turn.run.settings.stop is StopMode.API
        return SubmitChange(server_id, number, target.order, stop_first, now, permit, secrets)

    def _permit(self) -> Permit | None:
        permit = self._cloud.permit()
        self.starved = self.starved or permit is None
        return permit

    def _power(self, turn: Turn, now: Moment, need: PowerNeed, wanted: list[str]) -> list[Write] | None:
        """One stop or start for those who still need it; None if no permit is to be had, as in `_submit`."""
        needing = (server_id for server_id in wanted if self._books.settle(turn, server_id) == (need,))
        first = next(needing, None)
        if first is None:
            return []
        permit = self._permit()
        if permit is None:
            return None
        server_ids = [first, *needing]
        call_id = self._new_id()
        for server_id in server_ids:
            self._books.write(turn, PowerIntended(server_id, call_id, need.verb, need.hard, len(server_ids)))
            self._books.settle(turn, server_id)
        if need.verb == "stop":
            return [StopServers(call_id, tuple(server_ids), need.hard, now, permit)]
        return [StartServers(call_id, tuple(server_ids), now, permit)]
