"""What others say of a request, without what it held in secret."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.cloud.http.error_body import MESSAGE_CHARS, parse_error_body, sanitize
from fleetos.cloud.http.redaction import holds_secret, redact
from tests.support.secrets import ADMINPASS, LOGIN_PASSWORD, USER_DATA, leaks, spellings

TOKEN = "MIIHtoken" + "".join(f"{number:x}/+" for number in range(3000, 4000))
TAGGED = "Kc3u<q>L8v_yZt4w"
# Of these tokens and passwords consist; escapes among them are spelled anew by each way.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-."
SECRETS = {"adminpass": ADMINPASS, "password": LOGIN_PASSWORD, "user data": USER_DATA, "token": TOKEN}
# Nobody quotes in these, and a search for them would find chance.
NOT_SOUGHT = ("UTF-16", "hexadecimal", "repr of bytes")
WAYS = sorted(way for way in spellings("any") if not way.endswith(NOT_SOUGHT))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_is_blotted_in_every_spelling(name: str, way: str) -> None:
    spelled = spellings(SECRETS[name])[way].decode()
    said = redact(f"cannot read '{spelled}' of the request", SECRETS.values())
    assert said.startswith("cannot read '")
    assert said.endswith("' of the request")
    assert "***" in said
    assert not leaks([said], {name: SECRETS[name]}, least=len(SECRETS[name]) // 2 if len(SECRETS[name]) < 30 else 24)


@given(
    secret=st.text(min_size=8, max_size=100),
    way=st.sampled_from(WAYS),
    before=st.text(max_size=20),
    first=st.integers(0, 200),
    size=st.integers(1, 300),
)
def test_wherever_the_quotation_is_cut_no_half_of_a_secret_is_left(
    secret: str, way: str, before: str, first: int, size: int
) -> None:
    spelled = spellings(secret)[way].decode()
    shown = spelled[first : first + size]
    said = redact(before + shown, (secret,))
    # A long secret is looked for in steps, so a stretch may be longer than half of a short one before it is seen.
    # What is looked for in base64 is up to eight letters longer than what is certain of it here.
    least = max(4, (len(secret) + 1) // 2) if len(spelled) <= 56 else 24
    assert len(shown) < least or shown not in said


@given(
    secret=st.text(LETTERS, min_size=8, max_size=400),
    way=st.sampled_from(WAYS),
    first=st.integers(0, 600),
    size=st.integers(6, 40),
    around=st.sampled_from(
        [("", ""), ("X-Auth-Token: ", ""), ("", "; Host: h"), ("'", "'"), ("..", "..."), ("<b>", "</b>")]
    ),
)
def test_of_a_token_that_was_cut_off_anywhere_five_letters_stay_at_most(
    secret: str, way: str, first: int, size: int, around: tuple[str, str]
) -> None:
    """The quotation is all of a word: its end, its beginning, or both were cut off."""
    spelled = spellings(secret)[way].decode()
    first = min(first, max(0, len(spelled) - size))
    shown = spelled[first : first + size]
    said = redact(around[0] + shown + around[1], (secret,))
    left = said.removeprefix(around[0]).removesuffix(around[1])
    # Dots at its ends are no letters: who leaves something out writes the same.
    letters = shown.strip(".")
    assert not any(left[at : at + 6] in letters for at in range(len(left) - 5))


@pytest.mark.parametrize("size", range(6, 24))
def test_the_ends_of_a_token_are_blotted_wherever_they_stand(size: int) -> None:
    for part in (TOKEN[:size], TOKEN[-size:]):
        assert redact(f"quoted:{part}(and so on)", (TOKEN,)) == "quoted:***(and so on)"
    inside = TOKEN[101 : 101 + size]
    assert "***" in redact(f"the token '{inside}' is cut", (TOKEN,))
    assert redact("the server cannot be rebooted", (USER_DATA + "\nreboot",)) == "the server cannot be rebooted"


@given(st.text("abc*<&%+ \n", max_size=80), st.text("XYZ/=", min_size=4, max_size=60))
def test_what_has_nothing_of_a_secret_stays_as_it_is(text: str, secret: str) -> None:
    assert redact(text, (secret,)) == text


def test_short_words_are_no_secrets() -> None:
    assert redact("abc is what it is", ("abc", "")) == "abc is what it is"
    assert not holds_secret("abc is what it is", ("abc", ""))
    assert holds_secret("abcd", ("abcd",))


@pytest.mark.parametrize("before", range(MESSAGE_CHARS - 20, MESSAGE_CHARS + 1, 3))
def test_no_end_of_a_secret_is_left_where_a_message_is_cut(before: int) -> None:
    said = sanitize("x" * before + ADMINPASS + " and more", (ADMINPASS,))
    assert said is not None
    assert len(said) <= MESSAGE_CHARS
    assert ADMINPASS[:3] not in said


@pytest.mark.parametrize(
    "body",
    [
        f"<html><b>{LOGIN_PASSWORD}</b></html>".encode(),
        f"<html><b>{TAGGED}</b></html>".encode(),
        f"<html>\x00{LOGIN_PASSWORD}".encode("utf-16-le"),
        LOGIN_PASSWORD.encode("utf-16"),
        json.dumps({"error": {"message": json.dumps({"password": LOGIN_PASSWORD})}}).encode(),
        json.dumps({"error": {"message": json.dumps({"message": LOGIN_PASSWORD, "code": LOGIN_PASSWORD})}}).encode(),
        json.dumps({"error": {"code": "Ecs.1", "message": "".join(f"{one}\u200b" for one in ADMINPASS)}}).encode(),
    ],
)
def test_an_error_body_quotes_no_secret(body: bytes) -> None:
    complaint = parse_error_body({}, body, (LOGIN_PASSWORD, ADMINPASS, TAGGED))
    assert complaint.message is not None
    assert "***" in complaint.message
    assert not leaks(
        [repr(complaint), complaint.message],
        {**SECRETS, "tagged": TAGGED, "without its tag": TAGGED.replace("<q>", "")},
        least=9,
    )


def test_a_code_or_an_id_that_holds_a_secret_is_none() -> None:
    body = json.dumps({"error": {"code": "sim.1.2.abcdef", "message": "m"}}).encode()
    complaint = parse_error_body({"x-request-id": "id-sim.1.2.abcdef"}, body, ("sim.1.2.abcdef",))
    assert (complaint.code, complaint.message, complaint.request_id) == (None, "m", None)
    # An ordinary code is no secret because it looks a little like one.
    assert parse_error_body({}, body, ("sim.1.2.abcxyz",)).code == "sim.1.2.abcdef"
