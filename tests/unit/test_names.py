"""Names: which are the same, how they are shown, and which one was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.names import Suggestions, shown, skeleton, to_nfc

FLEET = [f"web-{number:03d}" for number in range(1, 300)]


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("web-01", "web-01"),
        ("web-01\u200b", r"web-01\u200b"),
        ("web\u00ad01\u202e", r"web\xad01\u202e"),
        ("db\u2011gold\u2013\u2212", r"db\u2011gold\u2013\u2212"),
        ("a\u00a0b", r"a\xa0b"),
        ("a\u3164b\u2800\ufe0f", r"a\u3164b\u2800\ufe0f"),
        (" web 1  ", r"\x20web 1\x20\x20"),
        ("  ", r"\x20\x20"),
        ("", ""),
        ("gr\u00f6\u00dfe-\u30a6\u30a7\u30d6", "gr\u00f6\u00dfe-\u30a6\u30a7\u30d6"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(name: str, spelled: str) -> None:
    assert shown(name) == spelled


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_names_never_show_as_the_same(one: str, other: str) -> None:
    if "\\" not in one + other and one != other:
        assert shown(one) != shown(other)
    assert shown(one).isprintable()


@pytest.mark.parametrize(
    "alike",
    ["DB-Gold", "db\u2010gold", "db\u2014gold", "d\u200db-gold", "db-gold\u00a0", "\uff24\uff22-gold", "\u0501b-gold"],
)
def test_look_alikes_look_the_same(alike: str) -> None:
    assert skeleton(alike) == skeleton("db-gold")
    assert Suggestions(["web-01", "db-gold"]).did_you_mean(alike) == "did you mean db-gold?"


def test_the_same_letter_has_two_spellings() -> None:
    assert to_nfc("mu\u0308nchen") == to_nfc("m\u00fcnchen") != "munchen"


@pytest.mark.parametrize(
    ("written", "nearest"),
    [
        ("web-01", ["web-001"]),
        ("web1", ["web-001"]),
        ("web_12", ["web-012"]),
        ("WEB-0007", ["web-007"]),
        ("wbe-123", ["web-123"]),
        ("kafka", []),
    ],
)
def test_the_likeliest_name_comes_first(written: str, nearest: list[str]) -> None:
    assert Suggestions(FLEET).nearest(written)[: len(nearest) or 1] == nearest


def test_what_was_written_is_not_suggested() -> None:
    assert Suggestions(["a", "A"]).nearest("a") == ["A"]
    assert Suggestions(["a"]).did_you_mean("a") is None
    assert Suggestions([]).did_you_mean("a") is None
