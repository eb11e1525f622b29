"""One entry of clouds.yaml as openstacksdk reads it: profile, entry, secrets and region laid over each other. Pure.

Source: `OpenStackConfig.get_one` in openstack/config/loader.py. Where its reading depends on the order of keys, or
would pass over what somebody meant, the entry is refused instead. No error shows a value, but for names of regions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from fleetos.cloud.auth.credentials import fault_of, shown
from fleetos.errors import Problem
from fleetos.limits import REGIONS_LISTED
from fleetos.text import did_you_mean

Entry = Mapping[str, object]

# Keys of the values of a region that openstacksdk does not heed there.
_NOT_IN_VALUES = ("profile", "cloud", "regions")
# What is told of one entry.
_PROBLEMS_MAX = 50
_NAME_ONE = "name one of them: `region:` in the plan, or OS_REGION_NAME"


@dataclass(frozen=True, slots=True)
class CloudChoice:
    """What is said before any file: the cloud's name, the plan's region, and OS_REGION_NAME if the plan has none."""

    cloud: str | None
    region: str | None
    usual_region: str | None = None


class EntryReader:
    """Reads texts out of one entry and gathers what is wrong with it."""

    def __init__(self, file: str, key: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._key = key

    def wrong(self, key: str, expected: str, hint: str | None = None) -> None:
        """Note what is wrong at a key of the entry; of an entry that is all wrong not everything."""
        if len(self.problems) < _PROBLEMS_MAX:
            self.problems.append(Problem(self._file, None, None, f"{self._key}.{key}", expected, hint))

    def text(
        self, entry: Entry, key: str, under: str = "", fault: Callable[[str], str | None] = fault_of
    ) -> str | None:
        """Return the text at the key; None where there is none, or with a problem at `under` and the key."""
        value = entry.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self.wrong(f"{under}{key}", "a text", "write it in quotes: YAML reads it as something else")
            return None
        if (found := fault(value)) is not None:
            self.wrong(f"{under}{key}", found)
            return None
        return value

    def truth(self, entry: Entry, key: str, *, default: bool) -> bool:
        """Return the truth value at the key."""
        value = entry.get(key, default)
        if not isinstance(value, bool):
            self.wrong(key, "true or false")
            return default
        return value

    def part(self, entry: Entry, key: str) -> Entry:
        """Return the mapping at the key, empty where there is none."""
        value = entry.get(key)
        if value is None:
            return {}
        if not is_mapping(value):
            self.wrong(key, "a mapping")
            return {}
        return cast("Entry", value)


def is_mapping(value: object) -> bool:
    """Return whether a value is a mapping whose keys are all texts."""
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in cast("Mapping[object, object]", value))


def overlaid(below: Entry, above: Entry) -> Entry:
    """Return one mapping laid over another; of the mappings in it `auth` is laid over key by key."""
    ours, theirs = below.get("auth"), above.get("auth")
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return {**below, **above, "auth": {**cast("Entry", ours), **cast("Entry", theirs)}}
    return {**below, **above}


def settled(reader: EntryReader, entry: Entry, profile: Entry, asked: CloudChoice) -> tuple[Entry, str | None]:
    """Return the entry over its profile with the values of the chosen region over both, and that region.

    Keys are spelled with underscores in it.
    """
    region, values = _chosen(reader, entry, profile, asked)
    for key in _NOT_IN_VALUES:
        if key in values:
            reader.wrong(f"regions.{key}", "not a key of a region's values")
    own = values.get("region_name", values.get("region-name", region))
    if own != region:
        reader.wrong("regions.region_name", "not a key of a region's values", "the region is the one of its name")
    # A region's value that is empty leaves the entry's in place.
    values = {key: value for key, value in values.items() if value is not None}
    return _unified(reader, overlaid(overlaid(profile, entry), values)), region


def _chosen(reader: EntryReader, entry: Entry, profile: Entry, asked: CloudChoice) -> tuple[str | None, Entry]:
    """The region that is meant, and the settings that are its own."""
    written = _written(reader, entry)
    if "regions" in entry:
        return _from_list(reader, entry["regions"], written, asked)
    if len(written) > 1 and asked.region not in written:
        if asked.usual_region in written and asked.region is None:
            return asked.usual_region, {}
        # The names are not shown: what was written here by mistake may be a secret.
        reader.wrong("region_name", f"not one region: it has {len(written)}", _NAME_ONE)
        return None, {}
    if not written and "regions" in profile:
        return _from_list(reader, profile["regions"], (), asked)
    if asked.region is not None:
        return asked.region, {}
    own = written[0] if written else reader.text(profile, "region_name")
    _compared(reader, own, asked)
    return own or asked.usual_region, {}


def _compared(reader: EntryReader, region: str | None, asked: CloudChoice) -> None:
    """Note that entry and environment name different regions, where the plan names none."""
    if asked.region is None and region is not None and asked.usual_region not in (None, region):
        expected = f"not one region: it says {region}, OS_REGION_NAME says {asked.usual_region}"
        reader.wrong("region_name", expected, "unset OS_REGION_NAME, or say which: `region:` in the plan")


def _written(reader: EntryReader, entry: Entry) -> Sequence[str]:
    """The regions under region_name: a text, several with commas between them, or a list."""
    value = entry.get("region_name", entry.get("region-name"))
    if isinstance(value, list):
        names = cast("list[object]", value)
        if not all(isinstance(one, str) and one and fault_of(one) is None for one in names):
            reader.wrong("region_name", "a list of texts")
            return ()
        return cast("list[str]", names)
    text = reader.text({"region_name": value}, "region_name")
    return text.split(",") if text is not None else ()


def _from_list(
    reader: EntryReader, listed: object, written: Sequence[str], asked: CloudChoice
) -> tuple[str | None, Entry]:
    choices = dict(_choices(reader, listed))
    if not choices:
        return None, {}
    first, names = next(iter(choices)), ", ".join(shown(name) for name in list(choices)[:REGIONS_LISTED])
    if written:
        _compared(reader, written[0], asked)
    wanted = asked.region or (None if written else asked.usual_region)
    if wanted is not None:
        if wanted not in choices:
            near = did_you_mean(wanted, choices, spelled=repr)
            hint = f"{near} Its regions: {names}" if near else f"its regions: {names}"
            reader.wrong("regions", f"not a list that has {wanted}", hint)
            return wanted, {}
        return wanted, choices[wanted]
    if written and list(written) != [first]:
        # openstacksdk takes the first of the list whatever region_name says.
        reader.wrong("region_name", f"not the first of `regions`: {names}", f"leave one of the two out, or {_NAME_ONE}")
    elif len(choices) > 1 and not written:
        reader.wrong("region_name", f"a region: one of {names}", _NAME_ONE)
    return first, choices[first]


def _choices(reader: EntryReader, listed: object) -> Iterator[tuple[str, Entry]]:
    """The regions of a list with their own settings; entries are names, or mappings with a name and `values`."""
    if not isinstance(listed, list) or not listed:
        reader.wrong("regions", "a list of regions")
        return
    seen: set[str] = set()
    for number, one in enumerate(cast("list[object]", listed)):
        at = f"regions[{number}]"
        given = cast("Entry", one if is_mapping(one) else {"name": one})
        for key in given:
            if key not in ("name", "values"):
                reader.wrong(f"{at}.{shown(key)}", "not a key of a region", "it has a name, and values")
        name, values = reader.text(given, "name", f"{at}."), given.get("values")
        if values is not None and not is_mapping(values):
            reader.wrong(f"{at}.values", "a mapping")
        elif name is None:
            reader.wrong(f"{at}.name", "a region")
        elif name in seen:
            reader.wrong(at, "not a region that is listed once")
        else:
            seen.add(name)
            yield name, cast("Entry", values or {})


def _unified(reader: EntryReader, entry: Entry) -> Entry:
    """The entry with underscores for hyphens. Which of two spellings openstacksdk takes is left to chance."""
    auth = reader.part(entry, "auth")
    spelled: dict[str, str] = {}
    unified: list[dict[str, object]] = []
    for part in (auth, entry):
        found: dict[str, object] = {}
        for key, value in part.items():
            name = key.replace("-", "_")
            if key.endswith("endpoint-type"):
                reader.wrong(shown(key), "not a key that openstacksdk heeds", f"write {shown(name)}")
            if key == "auth-url" and isinstance(value, str) and "{" in value:
                reader.wrong(f"auth.{key}", "not a key that openstacksdk fills in", "write auth_url")
            if spelled.setdefault(name, key) != key:
                two = f"{shown(spelled[name])} and {shown(key)}"
                reader.wrong(shown(key), f"not a key that is spelled in one way: {two}", f"write {shown(name)}")
            found[name] = value
        unified.append(found)
    return {**unified[1], "auth": unified[0]}
