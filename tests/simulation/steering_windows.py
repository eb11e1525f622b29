"""Windows of simulated plays: their times lie about the edges of the play, so that much happens at one of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from fleetos.model.steering.match import Match
from fleetos.model.steering.windows import CalendarFile, CronTimes, DateTimes, Fit, Nights, WindowRule, Windows
from tests.simulation.spec_steering import BORN, CALENDAR

# The servers of a play with steering are in both, by turns.
AZS = ("eu-de-01", "eu-de-02")
_ZONE = "Europe/Berlin"
# Both nights in which the clocks of that zone are set, from the evening before on.
_SPRING, _AUTUMN = datetime(2026, 3, 28, 19, tzinfo=UTC), datetime(2026, 10, 24, 18, tzinfo=UTC)
_DAILY = tuple(range(7))
_NO_FIT = Fit(quantile=None)
# Begin and end in minutes of the day. Some begin or end in the hour that comes twice, or never.
_NIGHTS = ((22 * 60, 5 * 60), (22 * 60, 5 * 60), (60, 4 * 60), (150, 6 * 60), (0, 150), (135, 165), (23 * 60, 3 * 60))


@dataclass(frozen=True, slots=True)
class WindowTimes:
    """Windows, and when the play that has them begins."""

    windows: Windows
    born: datetime = BORN
    denied: tuple[tuple[datetime, datetime], ...] = ()
    unreadable: tuple[tuple[float, float], ...] = ()
    give_up_h: float = 30.0
    """Hours after all faults ended in which a run may wait: no window may open any more, or none may be long enough."""


def draw_windows(chance: Random) -> WindowTimes:
    """Return windows of one of the kinds."""
    return chance.choice(_KINDS)(chance)


def _windows(
    chance: Random, allow: tuple[WindowRule, ...] | None, deny: tuple[WindowRule, ...] = (), fit: Fit | None = None
) -> Windows:
    fit = fit or chance.choice((_NO_FIT, Fit(quantile=None, seconds=300.0), Fit()))
    windows = Windows(allow, deny, fit)
    return windows if chance.random() < 0.6 else replace(windows, retries="wait")


def _spring(chance: Random) -> WindowTimes:
    """An hour is left out: whoever adds up the hours of a clock ends the night too late."""
    return _night(chance, _SPRING, denied=0.2)


def _autumn(chance: Random) -> WindowTimes:
    """An hour comes twice: whoever adds up the hours of a clock ends what is denied too early."""
    return _night(chance, _AUTUMN, denied=0.6)


def _night(chance: Random, evening: datetime, *, denied: float) -> WindowTimes:
    """Nights around one in which the clocks are set, as what is allowed or what is denied.

    The night may begin soon, be under way, or be about to end, or just have ended.
    """
    begin_min, end_min = chance.choice(_NIGHTS)
    rule, fit = WindowRule(Nights(_DAILY, begin_min, end_min), _ZONE), None
    born = evening + timedelta(minutes=chance.randrange(9 * 60), seconds=chance.randrange(60))
    if chance.random() < 0.5:
        fit = _NO_FIT
        midnight = datetime.combine((evening + timedelta(days=1)).date(), datetime.min.time(), ZoneInfo(_ZONE))
        end = (midnight + timedelta(minutes=end_min)).astimezone(UTC)
        born = end + timedelta(minutes=chance.randrange(-50, 50), seconds=chance.randrange(60))
    if chance.random() < denied:
        return WindowTimes(_windows(chance, None, (rule,), fit), born)
    deny = (WindowRule(Nights(_DAILY, 2 * 60, 3 * 60), _ZONE, name="backup"),) if chance.random() < 0.3 else ()
    return WindowTimes(_windows(chance, (rule,), deny, fit), born)


def _cron(chance: Random) -> WindowTimes:
    """Short times at a beat: they close over whatever is under way. Those of a whole year take long to work out."""
    cron, for_s = chance.choice(
        (
            ("0 * 1-5 1 *", 1800.0),
            ("*/20 * 1-5 1 *", 420.0),
            ("15 */2 1-5 1 *", 2400.0),
            ("30 1,3,5 * 1 1-5", 3600.0),
        )
    )
    born = BORN + timedelta(minutes=chance.randrange(120))
    return WindowTimes(_windows(chance, (WindowRule(CronTimes(cron, for_s), _ZONE),)), born, give_up_h=12.0)


def _beat(chance: Random) -> WindowTimes:
    """Times of a minute or two, about as long as a stop: most of what goes on meets one of their edges."""
    minutes, open_min = chance.choice(((2, 1), (3, 1), (3, 2), (5, 2)))
    denied = chance.random() < 0.5
    for_min = minutes - open_min if denied else open_min
    rule = WindowRule(CronTimes(f"*/{minutes} 4-11 2 1 *", 60.0 * for_min), _ZONE)
    windows = _windows(chance, None, (rule,), _NO_FIT) if denied else _windows(chance, (rule,), (), _NO_FIT)
    return WindowTimes(windows, BORN + timedelta(seconds=chance.randrange(600)), give_up_h=4.0)


def _turns(chance: Random) -> WindowTimes:
    """The times of two zones follow each other: where the one ends, the other begins."""
    minutes = chance.choice((10, 20, 30))
    rules = tuple(
        WindowRule(CronTimes(f"{first} * 1-5 1 *", 60.0 * minutes), _ZONE, match=Match(az=(az,)))
        for first, az in ((0, AZS[0]), (minutes, AZS[1]))
    )
    fit = _NO_FIT if chance.random() < 0.5 else None
    return WindowTimes(_windows(chance, rules, (), fit), BORN + timedelta(minutes=chance.randrange(60)), give_up_h=8.0)


def _local(moment: datetime) -> str:
    """Return a moment as a plan writes it, with its offset."""
    return f"{moment:%Y-%m-%dT%H:%M}+00:00"


def _dates(chance: Random) -> WindowTimes:
    """One time that the plan names, with a blackout in it."""
    begin = BORN + timedelta(minutes=chance.choice((-30, 20)))
    allow = (WindowRule(DateTimes(_local(begin), _local(begin + timedelta(hours=12))), None),)
    windows = _windows(chance, allow if chance.random() < 0.6 else None, (_blackout(chance, chance.randrange(1, 25)),))
    return WindowTimes(windows, give_up_h=14.0)


def _freeze(chance: Random) -> WindowTimes:
    """A blackout that begins while the first servers are stopped."""
    windows = _windows(chance, None, (_blackout(chance, 1),), _NO_FIT)
    return WindowTimes(windows, BORN + timedelta(seconds=chance.randrange(50)), give_up_h=6.0)


def _blackout(chance: Random, after_min: int) -> WindowRule:
    """Return a blackout that begins with so many minutes after the usual begin of a play."""
    begin = BORN + timedelta(minutes=after_min)
    end = begin + timedelta(minutes=chance.choice((10, 60, 180)))
    return WindowRule(DateTimes(_local(begin), _local(end)), None, name="freeze")


def _calendar(chance: Random) -> WindowTimes:
    """A calendar file of what is denied, which cannot be read for a while."""
    begin = (BORN + timedelta(minutes=chance.randrange(60))).replace(second=0)
    events = ((begin, begin + timedelta(minutes=30)), (begin + timedelta(hours=2), begin + timedelta(hours=3)))
    from_s = chance.uniform(60.0, 600.0)
    unreadable = ((from_s, from_s + chance.choice((90.0, 600.0, 3600.0))),) if chance.random() < 0.7 else ()
    deny = (WindowRule(CalendarFile(CALENDAR), _ZONE),)
    return WindowTimes(_windows(chance, None, deny), BORN, events[: chance.randrange(3)], unreadable, give_up_h=8.0)


_KINDS: tuple[Callable[[Random], WindowTimes], ...] = (
    *(_spring, _autumn) * 2,
    _cron,
    *(_beat,) * 5,
    _turns,
    _dates,
    *(_freeze,) * 2,
    *(_calendar,) * 2,
)
