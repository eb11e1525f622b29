"""Value types of steering: sizes, budgets, matches, orders, days and times."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, cast

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from fleetos.limits import DURATION_MAX_S, PLAN_MAX_SERVERS, SELECT_VALUES_MAX
from fleetos.model.steering.match import Match
from fleetos.model.steering.rollout import Approval
from fleetos.model.steering.share import Share
from fleetos.model.steering.windows import Fit
from fleetos.planning.calendars import parse_date_or_time
from fleetos.planning.local_time import find_zone, zone_hint
from fleetos.planning.plan_file.units import (
    DURATION_PATTERN,
    PERCENT_PATTERN,
    format_duration,
    format_share,
    parse_duration_s,
)
from fleetos.planning.plan_file.value_types import LABEL_PATTERN, LABEL_VALUE_PATTERN, TEXT_PATTERN, refusal

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
APPROVALS_MAX, APPROVERS_MAX = 5, 100
BAKE_MAX_S = DURATION_MAX_S

_PERCENT = re.compile(PERCENT_PATTERN)
_LABEL = "label:"
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_PLAIN_ORDERS = ("listed", "name", "az", "flavor", "down-first", "spread")


def _share(value: object, least: int, expected: str) -> Share:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= PLAN_MAX_SERVERS:
        return Share(value)
    if isinstance(value, str) and _PERCENT.fullmatch(value):
        percent = float(value[:-1])
        if (0 if least == 0 else 1e-6) <= percent <= 100:
            return Share(percent, percent=True)
    raise refusal(expected)


def _share_schema(least: int) -> WithJsonSchema:
    number = {"type": "integer", "minimum": least, "maximum": PLAN_MAX_SERVERS}
    return WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": PERCENT_PATTERN}]})


Size = Annotated[
    Share,
    PlainValidator(lambda value: _share(value, 1, "a number of servers from 1, or a percentage such as 25%")),
    PlainSerializer(format_share),
    _share_schema(1),
]
FailureShare = Annotated[
    Share,
    PlainValidator(lambda value: _share(value, 0, "a number of servers from 0, or a percentage such as 5%")),
    PlainSerializer(format_share),
    _share_schema(0),
]


def _is_label_key(text: str) -> bool:
    return text.startswith(_LABEL) and re.fullmatch(LABEL_PATTERN, text.removeprefix(_LABEL)) is not None


def _one_of(value: object, plain: tuple[str, ...]) -> str:
    if isinstance(value, str) and (value in plain or _is_label_key(value)):
        return value
    raise refusal("one of " + ", ".join(f"`{word}`" for word in (*plain, "label:NAME")))


def _order(value: object) -> str:
    return _one_of(value, _PLAIN_ORDERS)


def _per(value: object) -> str:
    return _one_of(value, ("all", "az", "flavor"))


OrderKey = Annotated[str, PlainValidator(_order), WithJsonSchema({"type": "string"})]
GroupKeyName = Annotated[str, PlainValidator(_per), WithJsonSchema({"type": "string"})]


def _match(value: object) -> Match:
    expected = "a mapping of `az`, `flavor`, `name` or `label:NAME` to a text or a list of texts"
    if not isinstance(value, dict) or not value:
        raise refusal(expected)
    keys: dict[str, tuple[str, ...]] = {}
    for key, texts in cast("dict[object, object]", value).items():
        if not isinstance(key, str) or not (key in ("az", "flavor", "name") or _is_label_key(key)):
            raise refusal(expected, f"`{str(key)[:64]}` is none of them")
        keys[key] = _match_values(key, texts)
    labels = {key.removeprefix(_LABEL): texts for key, texts in keys.items() if key.startswith(_LABEL)}
    return Match(
        az=keys.get("az", ()),
        flavor=keys.get("flavor", ()),
        name=keys.get("name", ()),
        labels=tuple(sorted(labels.items())),
    )


def _match_values(key: str, texts: object) -> tuple[str, ...]:
    values = cast("list[object]", texts) if isinstance(texts, list) else [texts]
    pattern = LABEL_VALUE_PATTERN if key.startswith(_LABEL) else TEXT_PATTERN
    good = [text for text in values if isinstance(text, str) and re.fullmatch(pattern, text)]
    if not 1 <= len(good) == len(values) <= SELECT_VALUES_MAX:
        raise refusal(f"for `{key}` a text, or a list of 1 to {SELECT_VALUES_MAX} texts", "put texts in quotes")
    return tuple(sorted(set(good)))


MatchKeys = Annotated[
    Match,
    PlainValidator(_match),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "patternProperties": {
                "^(az|flavor|name|label:.+)$": {
                    "anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]
                }
            },
            "additionalProperties": False,
        }
    ),
]


def _approval(value: object) -> Approval | None:
    if isinstance(value, bool):
        return Approval() if value else None
    expected = "true, false, or {by: anyone | other | [NAME, ...], of: 1, valid: 24h}"
    if not isinstance(value, dict) or not value:
        raise refusal(expected)
    keys = cast("Mapping[object, object]", value)
    if unknown := keys.keys() - {"by", "of", "valid"}:
        raise refusal(expected, f"`{str(next(iter(unknown)))[:64]}` is not known")
    by, of = _approvers(keys.get("by", "anyone")), keys.get("of", 1)
    valid_s = parse_duration_s(str(keys.get("valid", "24h")))
    if not isinstance(of, int) or isinstance(of, bool) or not 1 <= of <= APPROVALS_MAX:
        raise refusal(f"for `of` a number from 1 to {APPROVALS_MAX}")
    if valid_s is None or not 1.0 <= valid_s <= DURATION_MAX_S:
        raise refusal(f"for `valid` a duration from 1s to {format_duration(DURATION_MAX_S)}")
    if isinstance(by, tuple) and of > len(by):
        raise refusal(f"for `of` at most {len(by)}, the number of names in `by`")
    return Approval(by, of, valid_s)


def _approvers(value: object) -> Literal["anyone", "other"] | tuple[str, ...]:
    if value == "anyone":
        return "anyone"
    if value == "other":
        return "other"
    names = cast("list[object]", value) if isinstance(value, list) else []
    good = [name for name in names if isinstance(name, str) and re.fullmatch(TEXT_PATTERN, name)]
    if not 1 <= len(good) == len(names) <= APPROVERS_MAX:
        raise refusal(f"for `by` anyone, other, or a list of 1 to {APPROVERS_MAX} names")
    return tuple(sorted(set(good)))


ApprovalRule = Annotated[
    Approval | None, PlainValidator(_approval), WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "object"}]})
]


def _zone(value: object) -> str:
    if isinstance(value, str) and find_zone(value) is not None:
        return value
    raise refusal("a time zone such as Europe/Berlin", zone_hint(value) if isinstance(value, str) else None)


def _days(value: object) -> tuple[int, ...]:
    """Return the days of a list such as [mon-thu, sat], Monday first. A span may go over the end of the week."""
    expected = "a list of days such as [mon-fri, sun]"
    entries = cast("list[object]", value) if isinstance(value, list) else []
    days: set[int] = set()
    for entry in entries:
        names = entry.split("-") if isinstance(entry, str) else []
        if not 1 <= len(names) <= 2 or not all(name in DAYS for name in names):
            raise refusal(expected, f"days are {', '.join(DAYS)}")
        first, last = DAYS.index(names[0]), DAYS.index(names[-1])
        days.update((first + step) % 7 for step in range((last - first) % 7 + 1))
    if not days:
        raise refusal(expected)
    return tuple(sorted(days))


def _clock_min(value: object) -> int:
    clock = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if clock is None:
        raise refusal('a time such as "22:00", from "00:00" to "23:59"')
    return int(clock[1]) * 60 + int(clock[2])


def _date_or_time(value: object) -> str:
    if isinstance(value, str) and parse_date_or_time(value) is not None:
        return value
    raise refusal("a date such as 2026-12-18, or a time such as 2026-12-18T18:00 or 2026-12-18T18:00Z")


def _fit(value: object) -> Fit:
    if isinstance(value, str) and value in ("p50", "p90", "p95", "p99"):
        return Fit(int(value[1:]) / 100, None)
    if value == "none":
        return Fit(None, None)
    seconds = parse_duration_s(value) if isinstance(value, str) else None
    if seconds is None or not 1.0 <= seconds <= DURATION_MAX_S:
        raise refusal("p50, p90, p95, p99, none, or a duration such as 45m")
    return Fit(None, seconds)


def _spelled_fit(fit: Fit) -> str:
    if fit.seconds is not None:
        return format_duration(fit.seconds)
    return "none" if fit.quantile is None else f"p{round(fit.quantile * 100)}"


_TEXT = WithJsonSchema({"type": "string"})
Zone = Annotated[str, PlainValidator(_zone), _TEXT]
DayList = Annotated[
    tuple[int, ...],
    PlainValidator(_days),
    WithJsonSchema({"type": "array", "minItems": 1, "items": {"type": "string"}}),
]
ClockTime = Annotated[int, PlainValidator(_clock_min), WithJsonSchema({"type": "string", "pattern": "^[0-9:]{5}$"})]
DateOrTime = Annotated[str, PlainValidator(_date_or_time), _TEXT]
FitRule = Annotated[
    Fit,
    PlainValidator(_fit),
    PlainSerializer(_spelled_fit),
    WithJsonSchema(
        {"anyOf": [{"enum": ["p50", "p90", "p95", "p99", "none"]}, {"type": "string", "pattern": DURATION_PATTERN}]}
    ),
]
CronText = Annotated[str, Field(min_length=1, max_length=200)]
