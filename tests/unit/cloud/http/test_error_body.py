"""The error bodies of the cloud, each shape once and then all that could be done to them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.cloud.http.error_body import MESSAGE_CHARS, parse_error_body, retry_after_s, sanitize, stated_limit
from tests.support.clocks import VIRTUAL_START, ManualClock

NOVA_IN_MESSAGE = '{"badRequest": {"message": "Instance x is not STOPPED", "code": 400}}'


def said(body: object) -> tuple[str | None, str | None]:
    text = body if isinstance(body, str) else json.dumps(body)
    complaint = parse_error_body({}, text.encode())
    return complaint.code, complaint.message


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        # 1. ECS
        (
            {"error": {"code": "Ecs.0100", "message": "no", "details": [{"code": "x", "message": "y"}]}},
            "Ecs.0100",
            "no",
        ),
        # 2. gateway, CTS, CBR
        ({"error_code": "APIGW.0308", "error_msg": "slow down", "request_id": "r"}, "APIGW.0308", "slow down"),
        # 3. an older gateway
        ({"errorCode": "E.1", "errorMsg": "m"}, "E.1", "m"),
        # 4. job query
        ({"code": "Common.0011", "message": "unknown job"}, "Common.0011", "unknown job"),
        # 5. Nova: the name of the body is the code
        ({"itemNotFound": {"message": "gone", "code": 404}}, "itemNotFound", "gone"),
        ({"conflictingRequest": {"message": "busy", "code": 409}}, "conflictingRequest", "busy"),
        ({"computeFault": {"message": "oops"}}, "computeFault", "oops"),
        # 6. format 1 with format 5 in its message
        ({"error": {"message": NOVA_IN_MESSAGE, "code": "Ecs.1000"}}, "Ecs.1000", "Instance x is not STOPPED"),
        ({"error": {"message": NOVA_IN_MESSAGE}}, "badRequest", "Instance x is not STOPPED"),
        # 7. HTML, plain text, nothing
        ("<html><head><title>502</title></head><body><h1>bad</h1> gateway</body></html>", None, "502 bad gateway"),
        ("please wait  a\nminute", None, "please wait a minute"),
        ("", None, None),
        # 8. an authorisation message beside any of them
        (
            {"encoded_authorization_message": "XYZ", "error": {"code": "Pdp.0001", "message": "denied"}},
            "Pdp.0001",
            "denied",
        ),
        # Keystone, and codes that are numbers
        ({"error": {"code": 401, "message": "who?", "title": "Unauthorized"}}, "401", "who?"),
        ({"code": 5, "message": "five"}, "5", "five"),
        # The order of the vendor's SDK: gateway names before the others
        ({"code": "b", "message": "2", "error_code": "a", "error_msg": "1"}, "a", "1"),
        # Batch calls
        (
            {
                "error": {"code": "Ecs.0611", "message": "some"},
                "internalError": [{"id": "1", "error_code": "Ecs.0605"}],
            },
            "Ecs.0611",
            "some",
        ),
        ([{"error": {"code": "Ecs.1", "message": "in a list"}}], "Ecs.1", "in a list"),
        ({"a": {"b": {"error": {"code": "deep", "message": "m"}}}}, "deep", "m"),
        # Halves
        ({"message": "only words"}, None, "only words"),
        ({"error_code": "Ecs.1"}, "Ecs.1", None),
        ({"error": "a text"}, None, None),
        ({"error": {"code": "Ecs.0005", "message": "{not json"}}, "Ecs.0005", "{not json"),
        ({"error": {"code": "Ecs.0005", "message": "{}"}}, "Ecs.0005", "{}"),
        # Wrong types and unusable codes
        ({"error": {"code": True, "message": 5}}, None, None),
        ({"error": {"code": "two words", "message": "m"}}, None, "m"),
        ({"error": {"code": "x" * 65, "message": "m"}}, None, "m"),
        ({"error": {"code": "E\u202e1", "message": "m"}}, None, "m"),
        ({"error": {"code": 10**12, "message": "m"}}, None, "m"),
        ("null", None, "null"),
        ('"text"', None, '"text"'),
        ("17", None, "17"),
        ("{}", None, None),
    ],
)
def test_every_shape_of_an_error(body: object, code: str | None, message: str | None) -> None:
    assert said(body) == (code, message)


def nested(depth: int) -> object:
    body: object = {"error": {"code": "Ecs.0005", "message": "m"}}
    for _ in range(depth):
        body = {"wrap": body}
    return body


def test_nesting_is_followed_to_a_bound() -> None:
    assert said(nested(3)) == ("Ecs.0005", "m")
    assert said(nested(50)) == (None, None)


def test_json_in_json_in_json_ends() -> None:
    message = "bottom"
    for _ in range(12):
        message = json.dumps({"error": {"message": message}})
    code, words = said(message)
    assert code is None
    assert words is None or len(words) <= MESSAGE_CHARS


@pytest.mark.parametrize(
    "bomb",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"error": {"code": ' + "9" * 10_000 + "}}",
        json.dumps({str(number): {"x": {}} for number in range(10_000)}),
        json.dumps({"error": {"message": "{" * 300_000, "code": "E"}}),
    ],
)
def test_bombs_are_only_text(bomb: str) -> None:
    code, message = said(bomb)
    assert code is None
    assert message is None or len(message) <= MESSAGE_CHARS


@given(st.binary(max_size=300))
def test_any_bytes_are_read(body: bytes) -> None:
    complaint = parse_error_body({}, body)
    assert complaint.message is None or complaint.message.isprintable()


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["error", "code", "message", "error_msg", "error_code", "x"]), inner, max_size=4
        ),
    ),
    max_leaves=20,
)


@given(json_values)
def test_any_json_is_read(body: object) -> None:
    code, message = said(body)
    assert code is None or 1 <= len(code) <= 64
    assert message is None or 1 <= len(message) <= MESSAGE_CHARS


def test_a_long_message_is_cut_and_its_controls_are_dropped() -> None:
    _, message = said({"error": {"code": "E", "message": "a\x1b[31m\u202eb " + "x" * 10_000}})
    assert message is not None
    assert len(message) == MESSAGE_CHARS
    assert message.startswith("a[31mb x")
    assert sanitize(" \n ") is None


@pytest.mark.parametrize(
    ("headers", "body", "request_id"),
    [
        ({"x-request-id": "r-1"}, {}, "r-1"),
        ({"x-openstack-request-id": "req-2"}, {}, "req-2"),
        ({"x-iam-trace-id": "t"}, {}, "t"),
        ({"x-request-id": "first", "x-compute-request-id": "second"}, {"request_id": "third"}, "first"),
        ({}, {"request_id": "third", "error_code": "E"}, "third"),
        ({}, {"request_id": 5}, None),
        ({"x-request-id": "a b"}, {}, None),
        ({"x-request-id": "x" * 200}, {}, None),
        ({}, [], None),
    ],
)
def test_the_request_id_is_found(headers: dict[str, str], body: object, request_id: str | None) -> None:
    assert parse_error_body(headers, json.dumps(body).encode()).request_id == request_id


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5.0),
        ("0", 0.0),
        ("99999999999999", 3600.0),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
        ("Fri, 02 Jan 2099 03:00:00 GMT", 3600.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("\u0665", None),
        ("Fri, 02 Jan 2026 03:05:05", None),
        ("Fri, 99 Jan 2026 03:05:05 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": text}, ManualClock(VIRTUAL_START)) == seconds


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        ("policy user over ratelimit,limit:200,time:5 minute", (200, 300.0)),
        ("LIMIT:10,TIME:1 SECOND", (10, 1.0)),
        ("limit:5, time:2 hour", (5, 7200.0)),
        ("limit:5,time:30", (5, 30.0)),
        ("limit:1,time:1 day", (1, 86400.0)),
        ("limit:0,time:5 minute", None),
        ("limit:5,time:0 minute", None),
        ("too many", None),
        (None, None),
    ],
)
def test_a_429_may_tell_its_limit(message: str | None, limit: tuple[int, float] | None) -> None:
    assert stated_limit(message) == limit
