"""What steers a simulated play: waves, groups, budgets and windows, and the calendar file of what is denied."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fleetos.model.steering.rollout import SteeringPlan

# When a play begins that no window steers.
BORN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
# The calendar file of what is denied, where a plan has one.
CALENDAR = "/plans/freezes.ics"


@dataclass(frozen=True, slots=True)
class SteeringSpec:
    """Steering of one play. `born`: second 0; `give_up_s`: the operator aborts what is not over by then.

    `denied` are the events of the calendar file, as UTC; `unreadable` are the seconds of the play, from and until, in
    which the file cannot be read.
    """

    plan: SteeringPlan
    born: datetime = BORN
    give_up_s: float = 86400.0
    denied: tuple[tuple[datetime, datetime], ...] = ()
    unreadable: tuple[tuple[float, float], ...] = ()


def calendar_text(denied: Sequence[tuple[datetime, datetime]]) -> str:
    """Return the calendar file with these events."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//fleetos//simulation//EN"]
    for number, (begin, end) in enumerate(denied, 1):
        lines += ["BEGIN:VEVENT", f"UID:{number}@plan", f"DTSTAMP:{begin:%Y%m%dT%H%M%SZ}"]
        lines += [f"DTSTART:{begin:%Y%m%dT%H%M%SZ}", f"DTEND:{end:%Y%m%dT%H%M%SZ}", "END:VEVENT"]
    return "\r\n".join((*lines, "END:VCALENDAR", ""))
