"""Script of the plays of a run: all that a play needs, as values that can be sent to another process."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fleetos.app.calendar_reader import CalendarReader
from fleetos.model.experience import Durations, Experience
from fleetos.model.journal.events import Enlisted, Event
from fleetos.model.plan import ApiLimits
from fleetos.model.preview import Band
from fleetos.model.run import Order, Run, Target
from fleetos.model.steering.windows import CalendarFile
from fleetos.planning.estimate import remembered_durations
from fleetos.planning.freeze import FrozenRun

KEY_PAIR = "rehearsal"
# A rollout that lasts for longer is not played to its end.
HORIZON = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Script:
    """Frozen run, and what is known of its cloud."""

    run: Run
    targets: tuple[Target, ...]
    """Targets as they were enlisted, without their secrets."""
    further_events: tuple[Event, ...]
    """Events by which the freeze skips or holds targets."""
    limits: ApiLimits
    known: Experience
    """Experience with the cloud: the engine forecasts by it, and durations are drawn from it."""
    documented_change: Band
    """Duration of a change of which nothing was learned."""
    calendars: Mapping[str, str | None]
    """Contents of the calendar files by path, None for one that cannot be read."""
    begin: datetime
    """UTC."""

    @property
    def learned(self) -> Durations:
        """Durations that changes to the images of the run took, else those of any image; empty if none was seen."""
        return remembered_durations(self.targets, self.known)


async def make_script(
    frozen: FrozenRun, owner: str, limits: ApiLimits, known: Experience, documented_change: Band
) -> Script:
    """Return the script of a run that was frozen now. Its calendar files are read once."""
    return Script(
        run=replace(frozen.run, owner=owner),
        targets=tuple(_without_secrets(event.target) for event in frozen.events if isinstance(event, Enlisted)),
        further_events=tuple(event for event in frozen.events[1:] if not isinstance(event, Enlisted)),
        limits=limits,
        known=known,
        documented_change=documented_change,
        calendars=await _read_calendars(frozen.run),
        begin=frozen.run.created_at,
    )


def _without_secrets(target: Target) -> Target:
    """Return the target with one key pair that the simulated cloud has, in place of logins and user data."""
    order: Order = replace(
        target.order, keyname=KEY_PAIR, userid=None, adminpass=None, user_data=None, metadata=dict[str, str]()
    )
    return replace(target, order=order)


async def _read_calendars(run: Run) -> Mapping[str, str | None]:
    rules = () if run.steering.windows is None else run.steering.windows.deny
    paths = dict.fromkeys(rule.when.path for rule in rules if isinstance(rule.when, CalendarFile))
    return {path: await CalendarReader().read(path) for path in paths}
