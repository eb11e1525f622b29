"""Experience: what is added to it, what is dropped, and what is no experience at all."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.limits import DURATION_MAX_S
from fleetos.model.experience import (
    CHANGE_KEY_LETTERS,
    CHANGE_KEYS_REMEMBERED,
    CHANGES_REMEMBERED,
    NO_EXPERIENCE,
    STOPS_REMEMBERED,
    Experience,
    Limit,
    check_experience,
    merge_experience,
    settle_s,
)
from fleetos.model.journal.codec import experience_from_json, experience_json
from tests.support.builders import START

LIMIT = Limit(2.0, 4.0, START)


def changes(key: str, count: int, start: int = 0, on: Experience = NO_EXPERIENCE) -> Experience:
    for number in range(start, start + count):
        on = on.with_change(key, float(number))
    return on


def test_the_latest_of_each_key_are_kept_and_the_longest_of_all() -> None:
    learned = changes("a", CHANGES_REMEMBERED + 5, on=NO_EXPERIENCE.with_change("b", 5000.0))
    assert learned.changes["a"] == tuple(float(one) for one in range(5, CHANGES_REMEMBERED + 5))
    assert learned.changes["b"] == (5000.0,)
    assert learned.longest_change_s == 5000.0


@pytest.mark.parametrize("shared", [True, False])
def test_one_long_change_is_forgotten_after_so_many_others(*, shared: bool) -> None:
    """One that waited for a payment for 20 hours must not lengthen every later settle for ever."""
    learned = NO_EXPERIENCE.with_change("a", 72_000.0) if shared else NO_EXPERIENCE.with_lasted(72_000.0)
    for number in range(CHANGES_REMEMBERED):
        assert learned.longest_change_s == 72_000.0
        learned = learned.with_change("a", float(number)) if shared else learned.with_lasted(float(number))
    assert learned.longest_change_s == CHANGES_REMEMBERED - 1.0
    assert merge_experience(NO_EXPERIENCE.with_lasted(72_000.0), learned, NO_EXPERIENCE).longest_change_s == (
        72_000.0 if shared else 63.0
    )


@pytest.mark.parametrize(
    ("longest_s", "settle"), [(0.0, 600.0), (299.0, 600.0), (400.0, 800.0), (1800.0, 3600.0), (72_000.0, 3600.0)]
)
def test_a_settle_grows_with_the_longest_change_up_to_the_time_out_of_one(longest_s: float, settle: float) -> None:
    assert settle_s(600.0, longest_s, 3600.0) == settle
    assert settle_s(7200.0, longest_s, 3600.0) == 7200.0


def test_the_key_that_was_not_used_for_longest_goes() -> None:
    learned = NO_EXPERIENCE
    for number in range(CHANGE_KEYS_REMEMBERED):
        learned = learned.with_change(f"image-{number}", 1.0)
    learned = learned.with_change("image-0", 2.0).with_change("new", 3.0)
    assert len(learned.changes) == CHANGE_KEYS_REMEMBERED
    assert "image-1" not in learned.changes
    assert learned.changes["image-0"] == (1.0, 2.0)


def test_stops_are_bounded_like_changes() -> None:
    learned = NO_EXPERIENCE
    for number in range(STOPS_REMEMBERED + 1):
        learned = learned.with_stop(float(number))
    assert learned.stops_s == tuple(float(one) for one in range(1, STOPS_REMEMBERED + 1))


def test_what_is_added_is_within_the_bounds_of_what_is_read() -> None:
    learned = NO_EXPERIENCE.with_change("k" * 5000, 1e12).with_change("", -1.0).with_stop(1e12).with_stop(0.12345)
    assert learned.longest_change_s == DURATION_MAX_S
    assert learned.stops_s == (DURATION_MAX_S, 0.123)
    assert set(learned.changes) == {"k" * CHANGE_KEY_LETTERS, ""}
    assert experience_from_json(experience_json(learned)) == learned


def test_it_is_read_back_as_it_was() -> None:
    learned = changes("a", 3).with_stop(7.5).with_change_shown(shown=False).with_limits({"read": LIMIT, "write": LIMIT})
    assert experience_from_json(experience_json(learned)) == learned
    assert experience_from_json("{}") == NO_EXPERIENCE


@pytest.mark.parametrize(
    "strange",
    [
        Experience(lasted_s=(-1.0,)),
        Experience(lasted_s=(DURATION_MAX_S + 1,)),
        Experience(lasted_s=(float("nan"),)),
        Experience(lasted_s=(1.0,) * (CHANGES_REMEMBERED + 1)),
        Experience(stops_s=(1.0,) * (STOPS_REMEMBERED + 1)),
        Experience(changes={"a": (float("inf"),)}),
        Experience(changes={"a": (1.0,) * (CHANGES_REMEMBERED + 1)}),
        Experience(changes={"a" * (CHANGE_KEY_LETTERS + 1): (1.0,)}),
        Experience(changes={str(number): (1.0,) for number in range(CHANGE_KEYS_REMEMBERED + 1)}),
        Experience(limits={"other": LIMIT}),
        *(Experience(limits={"read": replace(LIMIT, rate_per_s=rate)}) for rate in (0.0, -1.0, 1e9, float("nan"))),
        *(Experience(limits={"read": replace(LIMIT, burst=burst)}) for burst in (0.0, 1e9, float("nan"))),
    ],
)
def test_what_cannot_have_been_learned_is_no_experience(strange: Experience) -> None:
    with pytest.raises(ValueError, match=r"^(no|more) "):
        check_experience(strange)


def test_merging_adds_only_what_the_run_has_seen_itself() -> None:
    began = changes("a", 10)
    ended = changes("a", 3, start=100, on=began).with_stop(4.0)
    others = changes("a", 2, start=50, on=began).with_change("b", 1.0)
    kept = merge_experience(others, ended, began)
    assert kept.changes["a"] == (*(float(one) for one in range(10)), 50.0, 51.0, 100.0, 101.0, 102.0)
    assert kept.changes["b"] == (1.0,)
    assert kept.longest_change_s == 102.0
    assert kept.stops_s == (4.0,)
    assert merge_experience(others, began, began) == others


def test_merging_follows_a_run_that_saw_more_than_is_kept() -> None:
    began = changes("a", CHANGES_REMEMBERED)
    few, many = (changes("a", count, start=1000, on=began) for count in (5, CHANGES_REMEMBERED + 5))
    assert merge_experience(began, few, began) == few
    assert merge_experience(began, many, began) == many


def test_merging_takes_the_word_of_whoever_learned_something_last() -> None:
    later = replace(LIMIT, rate_per_s=1.0, learned_at=START + timedelta(hours=1))
    kept = NO_EXPERIENCE.with_limits({"read": later, "write": LIMIT}).with_change_shown(shown=True)
    ended = NO_EXPERIENCE.with_limits({"read": LIMIT, "write": later})
    assert merge_experience(kept, ended, NO_EXPERIENCE).limits == {"read": later, "write": later}
    assert merge_experience(kept, ended, NO_EXPERIENCE).shows_change is True
    assert merge_experience(kept, NO_EXPERIENCE.with_change_shown(shown=False), NO_EXPERIENCE).shows_change is False
    # What the run merely carried along is no news.
    assert merge_experience(kept, ended, ended).limits == kept.limits
