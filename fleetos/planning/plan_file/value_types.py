"""Value types of the plan file: what may be written, what it means, and how a schema describes it."""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_network
from typing import Annotated, Literal, TypeVar, cast

from pydantic import AfterValidator, Discriminator, Field, PlainSerializer, PlainValidator, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from fleetos.limits import (
    DURATION_MAX_S,
    FIRST_MAX,
    LABEL_NAME_MAX_LETTERS,
    SELECT_VALUES_MAX,
    TEXT_MAX_LETTERS,
    USER_DATA_MAX_BYTES,
)
from fleetos.model.plan import ANY_VALUE, Network, SecretRef, Share
from fleetos.names import to_nfc
from fleetos.planning.plan_file.units import (
    DURATION_PATTERN,
    PERCENT_PATTERN,
    RATE_PATTERN,
    Rate,
    format_duration,
    format_rate,
    format_share,
    parse_duration_s,
    parse_rate,
    parse_share,
)

NAME_PATTERN = "^[a-z0-9-]{1,63}$"
ID_PATTERN = "^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
USER_PATTERN = "^[0-9A-Za-z_-]{1,64}$"
TEXT_PATTERN = rf"^[^\x00-\x1f\x7f-\x9f]{{1,{TEXT_MAX_LETTERS}}}$"
LABEL_PATTERN = rf"^[0-9A-Za-z_./-]{{1,{LABEL_NAME_MAX_LETTERS}}}$"
LABEL_VALUE_PATTERN = rf"^[^\x00-\x1f\x7f-\x9f]{{0,{TEXT_MAX_LETTERS}}}$"
VARIABLE_PATTERN = "^[A-Za-z_][0-9A-Za-z_]{0,127}$"
NETWORK_PATTERN = "^[0-9a-fA-F.:]{2,39}(?:/[0-9]{1,3})?$"
PATH_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]{1,1024}$"

# The meaning of each pattern, for messages.
MEANINGS = {
    NAME_PATTERN: "1 to 63 of the letters a-z, digits and hyphens",
    ID_PATTERN: "an id such as 616fb98f-46ca-475e-917e-2563e5a8cd19",
    USER_PATTERN: "a user's id such as 7e25b1da389f4697a79df3a0e5bd494e",
    TEXT_PATTERN: f"1 to {TEXT_MAX_LETTERS} letters, no control characters",
    LABEL_PATTERN: f"a label's name: 1 to {LABEL_NAME_MAX_LETTERS} letters, digits, `_`, `.`, `/` or `-`",
    LABEL_VALUE_PATTERN: f"a label's value: at most {TEXT_MAX_LETTERS} letters, no control characters",
    PATH_PATTERN: "a path, relative to the plan's folder",
}

# The id of the enterprise project that every account has.
DEFAULT_PROJECT = "0"
_GLOB_LETTERS = frozenset("*?[")
GLOB_HINT = 'a server is named exactly; patterns belong to `select: {name: "..."}`, in the plan itself'
_ONLY_NAMES_HINT = "only `name` takes patterns"


def refusal(expected: str, hint: str | None = None) -> PydanticCustomError:
    """Return the error for a value that is not what was expected. Never repeat the value itself."""
    return PydanticCustomError("plan", "not as expected", {"expected": expected, "hint": hint})


def is_glob(text: str) -> bool:
    """Return whether the text is a pattern and not a name."""
    return not _GLOB_LETTERS.isdisjoint(text)


def normalize_name(text: str) -> str:
    """Return the name in the form in which names are compared. A rare letter becomes two letters in it."""
    name = to_nfc(text)
    if len(name) > TEXT_MAX_LETTERS:
        raise refusal(MEANINGS[TEXT_PATTERN])
    return name


def exact_name(text: str) -> str:
    """Return the name of a server; refuse a pattern."""
    if is_glob(text):
        raise refusal("the exact name of a server", GLOB_HINT)
    return text


def _duration_between(least_s: float, most_s: float) -> PlainValidator:
    expected = f"a duration such as 200ms, 30s or 1h30m, from {format_duration(least_s)} to {format_duration(most_s)}"

    def parse(value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise refusal(expected, "add a unit: ms, s, m or h")
        seconds = parse_duration_s(value) if isinstance(value, str) else None
        if seconds is None or not least_s <= seconds <= most_s:
            raise refusal(expected)
        return seconds

    return PlainValidator(parse)


_DURATION_SCHEMA = WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN})
_SPELLED = PlainSerializer(format_duration)

# The lower bounds make sense even on a simulated cloud; DURATION_MAX_S bounds all from above.
StepTime = Annotated[float, _duration_between(1.0, DURATION_MAX_S), _SPELLED, _DURATION_SCHEMA]
Interval = Annotated[float, _duration_between(0.05, 3600.0), _SPELLED, _DURATION_SCHEMA]
Wait = Annotated[float, _duration_between(0.0, DURATION_MAX_S), _SPELLED, _DURATION_SCHEMA]


def _settle(value: object) -> float | None:
    if value == "auto":
        return None
    seconds = parse_duration_s(value) if isinstance(value, str) else None
    if seconds is None or not 1.0 <= seconds <= DURATION_MAX_S:
        raise refusal("auto, or a duration such as 10m")
    return seconds


Settle = Annotated[
    float | None,
    PlainValidator(_settle),
    PlainSerializer(lambda seconds: "auto" if seconds is None else format_duration(seconds)),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "string", "pattern": DURATION_PATTERN}]}),
]


def _first(value: object) -> int | None:
    if value == "off":
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= FIRST_MAX:
        raise refusal(f"off, or a number of servers from 1 to {FIRST_MAX}")
    return value


First = Annotated[
    int | None,
    PlainValidator(_first),
    PlainSerializer(lambda number: "off" if number is None else number),
    WithJsonSchema({"anyOf": [{"const": "off"}, {"type": "integer", "minimum": 1, "maximum": FIRST_MAX}]}),
]


def _share(value: object) -> Share:
    parsed = parse_share(value)
    if parsed is None:
        raise refusal("a number of servers from 1, or a percentage such as 25%")
    return parsed


Concurrency = Annotated[
    Share,
    PlainValidator(_share),
    PlainSerializer(format_share),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": PERCENT_PATTERN}]}),
]


def _rate(value: object) -> Rate | None:
    if value == "auto":
        return None
    parsed = parse_rate(value) if isinstance(value, str) else None
    if parsed is None:
        raise refusal("auto, or requests in a time such as 200/5m or 10/s")
    return parsed


ApiRate = Annotated[
    Rate | None,
    PlainValidator(_rate),
    PlainSerializer(lambda value: "auto" if value is None else format_rate(value)),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "string", "pattern": RATE_PATTERN}]}),
]


def _single_item(value: object, keys: tuple[str, ...]) -> tuple[str, str] | None:
    """Return key and text of a mapping that has exactly one of the keys, and nothing else; else None."""
    if not isinstance(value, dict):
        return None
    items = tuple(cast("dict[object, object]", value).items())
    if len(items) != 1:
        return None
    key, text = items[0]
    return (key, text) if isinstance(key, str) and key in keys and isinstance(text, str) else None


def _secret(value: object, what: str = "a password") -> SecretRef:
    # One error for everything that can be wrong: no message may repeat a secret written here, not even as a key.
    item = _single_item(value, ("env", "file"))
    hint = f"{what} in the plan itself is refused: put it into an environment variable or a file"
    if item is None:
        raise refusal("{env: NAME} or {file: PATH}", hint)
    kind, where = item
    if kind == "env" and re.fullmatch(VARIABLE_PATTERN, where):
        return SecretRef("env", where)
    if kind == "file" and re.fullmatch(PATH_PATTERN, where):
        return SecretRef("file", where)
    raise refusal("{env: NAME} with the name of an environment variable, or {file: PATH}", hint)


_SECRET_SCHEMA = WithJsonSchema(
    {
        "type": "object",
        "properties": {
            "env": {"type": "string", "pattern": VARIABLE_PATTERN, "description": "the environment variable"},
            "file": {"type": "string", "pattern": PATH_PATTERN, "description": "the file, and nothing else in it"},
        },
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
)
Secret = Annotated[SecretRef, PlainValidator(_secret), _SECRET_SCHEMA]
SecretUrl = Annotated[SecretRef, PlainValidator(partial(_secret, what="a URL of notifications")), _SECRET_SCHEMA]
SigningKey = Annotated[SecretRef, PlainValidator(partial(_secret, what="a key")), _SECRET_SCHEMA]


@dataclass(frozen=True, slots=True)
class UserDataEntry:
    """User data as written: the path of a file, or the text itself."""

    kind: Literal["file", "text"]
    content: str = field(repr=False)


def _user_data(value: object) -> UserDataEntry:
    item = _single_item(value, ("file", "text"))
    if item is None:
        raise refusal("{file: PATH} or {text: ...}")
    kind, content = item
    if kind == "file":
        if not re.fullmatch(PATH_PATTERN, content):
            raise refusal("{file: PATH} with a path, relative to the plan's folder")
        return UserDataEntry("file", content)
    if not 1 <= len(content.encode()) <= USER_DATA_MAX_BYTES:
        raise refusal(f"user data of 1 to {USER_DATA_MAX_BYTES} bytes")
    return UserDataEntry("text", content)


UserData = Annotated[
    UserDataEntry,
    PlainValidator(_user_data),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "file": {"type": "string", "pattern": PATH_PATTERN, "description": "the file"},
                "text": {"type": "string", "minLength": 1, "description": "the text itself"},
            },
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        }
    ),
]


def _version(value: int) -> int:
    if value != 1:
        raise refusal("1, the version of the format that is known here")
    return value


def _exact_text(text: str) -> str:
    if is_glob(text):
        raise refusal("the exact text, as the cloud shows it", _ONLY_NAMES_HINT)
    return text


def is_project_id(text: str) -> bool:
    """Return whether a text is the id of an enterprise project, and not its name."""
    return text == DEFAULT_PROJECT or re.search(ID_PATTERN, text) is not None


def _enterprise_project(text: str) -> str:
    return text.lower() if is_project_id(text) else _exact_text(normalize_name(text))


def _tag_key(text: str) -> str:
    if "=" in text:
        raise refusal("the key of a tag", "write `key: value`")
    return _exact_text(text)


def _tag_value(text: str) -> str:
    if ANY_VALUE in text and text != ANY_VALUE:
        raise refusal(f'the exact value of a tag, or "{ANY_VALUE}" for any', _ONLY_NAMES_HINT)
    return text


def _network(value: object) -> Network:
    expected, hint = "an address or a range, such as 10.0.0.7 or 10.0.0.0/24", None
    if not isinstance(value, str) or not re.fullmatch(NETWORK_PATTERN, value):
        raise refusal(expected)
    try:
        return ip_network(value)
    except ValueError:
        with suppress(ValueError):
            hint = f"the range around it is {ip_network(value, strict=False)}"
        raise refusal(expected, hint) from None


One = TypeVar("One")
# Marks of one value and of a list in the locations of errors; no key of a plan is spelled like them.
ONE, EACH = "[one]", "[each]"
OneOrMore = Annotated[
    Annotated[One, Tag(ONE)]
    | Annotated[list[One], Field(min_length=1, max_length=SELECT_VALUES_MAX, description="any of these"), Tag(EACH)],
    Discriminator(lambda value: EACH if isinstance(value, list) else ONE),
]
Name = Annotated[str, Field(pattern=TEXT_PATTERN), AfterValidator(normalize_name)]
ExactText = Annotated[Name, AfterValidator(_exact_text)]
TagKey = Annotated[Name, AfterValidator(_tag_key)]
TagValue = Annotated[
    str, Field(pattern=LABEL_VALUE_PATTERN), AfterValidator(normalize_name), AfterValidator(_tag_value)
]
EnterpriseProject = Annotated[str, Field(pattern=TEXT_PATTERN), AfterValidator(_enterprise_project)]
NetworkText = Annotated[
    Network, PlainValidator(_network), WithJsonSchema({"type": "string", "pattern": NETWORK_PATTERN})
]


def _reinstall(value: object) -> bool:
    if value is not True:
        raise refusal("true", "leave the key out where an image is named")
    return True


def _lower(value: str) -> str:
    # `str.lower` itself would cost every command some 5 ms: to learn the signature of what is written in C, pydantic
    # compiles the regular expressions of Python's tokenizer.
    return value.lower()


Reinstall = Annotated[bool, PlainValidator(_reinstall), WithJsonSchema({"type": "boolean", "enum": [True]})]
Version = Annotated[int, AfterValidator(_version), WithJsonSchema({"const": 1})]
RunName = Annotated[str, Field(pattern=NAME_PATTERN)]
Id = Annotated[str, Field(pattern=ID_PATTERN), AfterValidator(_lower)]
UserId = Annotated[str, Field(pattern=USER_PATTERN)]
Text = Annotated[str, Field(pattern=TEXT_PATTERN)]
ServerName = Annotated[Name, AfterValidator(exact_name)]
LabelName = Annotated[str, Field(pattern=LABEL_PATTERN)]
LabelValue = Annotated[str, Field(pattern=LABEL_VALUE_PATTERN), AfterValidator(normalize_name)]
FilePath = Annotated[str, Field(pattern=PATH_PATTERN)]
