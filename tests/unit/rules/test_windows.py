"""Windows of targets, and the time that a change needs."""

from datetime import timedelta

import pytest

from fleetos.model.steering.match import Match
from fleetos.model.steering.times import Times
from fleetos.model.steering.windows import DateTimes, Fit, WindowRule, Windows
from fleetos.rules.forecast import NOTHING_KNOWN, Forecast
from fleetos.rules.windows import OPEN, MatchedRules, Stage, Window, make_window, match_rules, needed_s
from tests.support.builders import START, a_target

WHEN = DateTimes("2026-01-01", "2026-01-02")
HOURS = [START + timedelta(hours=hour) for hour in range(10)]


def rule(az: tuple[str, ...] = (), name: tuple[str, ...] = ()) -> WindowRule:
    return WindowRule(WHEN, "UTC", match=Match(az=az, name=name))


def times(begin: int, end: int) -> Times:
    return Times.of([(HOURS[begin], HOURS[end])])


def test_targets_that_the_same_rules_match_share_a_set() -> None:
    windows = Windows(allow=(rule(az=("a",)), rule()), deny=(rule(name=("web-0002",)),))
    targets = [a_target(1, az="a"), a_target(2, az="a"), a_target(3, az="b"), a_target(4, az="a")]
    sets, set_of = match_rules(windows, targets)
    assert sets == (MatchedRules((0, 1), ()), MatchedRules((0, 1), (0,)), MatchedRules((1,), ()))
    assert list(set_of.values()) == [0, 1, 2, 0]
    assert match_rules(Windows(), targets)[0] == (MatchedRules(None, ()),)


def test_a_window_is_what_is_allowed_without_what_is_denied() -> None:
    window = make_window(MatchedRules((0, 2), (0,)), [times(0, 2), times(2, 9), times(5, 8)], [times(1, 6)])
    assert list(window.opened.intervals) == [(HOURS[0], HOURS[1]), (HOURS[6], HOURS[8])]
    assert list(window.denied.intervals) == [(HOURS[1], HOURS[6])]


def test_without_allow_all_is_open_but_what_is_denied() -> None:
    window = make_window(MatchedRules(None, (0,)), [], [times(1, 6)])
    assert window.opened.end_at(HOURS[0]) == HOURS[1]
    assert window.opened.end_at(HOURS[1]) is None
    assert window.opened.end_at(HOURS[6]) is not None
    assert make_window(MatchedRules(None, ()), [], []) == OPEN


def test_whom_no_rule_allows_never_starts() -> None:
    assert list(make_window(MatchedRules((), ()), [times(0, 9)], []).opened.intervals) == []


def test_a_file_that_cannot_be_read_concerns_those_whom_it_matches() -> None:
    deny = [times(1, 2), "freezes.ics"]
    assert make_window(MatchedRules(None, (1,)), [], deny).unreadable == "freezes.ics"
    assert make_window(MatchedRules(None, (0,)), [], deny).unreadable is None


def test_what_is_denied_and_not_known_far_enough_closes_the_rest() -> None:
    window = Window.of([times(0, 9)], [Times.of([(HOURS[1], HOURS[2])], HOURS[3])])
    assert list(window.opened.intervals) == [(HOURS[0], HOURS[1]), (HOURS[2], HOURS[3])]


@pytest.mark.parametrize(
    ("fit", "needed"), [(Fit(None, 2700.0), 2700.0), (Fit(None), 0.0), (Fit(0.95), 919.0), (Fit(0.5), 909.0)]
)
def test_a_change_needs_the_sum_of_its_stages(fit: Fit, needed: float) -> None:
    learned = Forecast.of(float(second) for second in range(1, 21))
    few = Forecast.of([1.0, 2.0])
    stages = [Stage(learned, 3600.0), Stage(few, 600.0), Stage(NOTHING_KNOWN, 300.0, learned_min=1)]
    assert needed_s(fit, stages) == pytest.approx(needed, abs=1.0)
