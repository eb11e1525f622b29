"""Merge profile, entry, secrets and region of one entry of clouds.yaml, as openstacksdk does. Pure.

Source: `OpenStackConfig.get_one` in openstack/config/loader.py. If its result depends on the order of keys, or ignores
something that the user meant, the entry is refused instead. Errors never show a value, except names of regions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from fleetos.cloud.auth.credentials import printable, text_fault
from fleetos.errors import Problem
from fleetos.limits import REGIONS_LISTED
from fleetos.text import did_you_mean

Entry = Mapping[str, object]

# Keys that openstacksdk ignores in the values of a region.
_NOT_IN_VALUES = ("profile", "cloud", "regions")
# Most problems that are reported of one entry.
_PROBLEMS_MAX = 50
_NAME_ONE = "name one of them: `region:` in the plan, or OS_REGION_NAME"


@dataclass(frozen=True, slots=True)
class CloudChoice:
    """Choice made outside of the files: the cloud's name, the plan's region, and OS_REGION_NAME as its default."""

    cloud: str | None
    region: str | None
    usual_region: str | None = None


class EntryReader:
    """Reader of one entry that collects its problems."""

    def __init__(self, file: str, key: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._key = key

    def add_problem(self, key: str, expected: str, hint: str | None = None) -> None:
        """Add a problem at a key of the entry, up to _PROBLEMS_MAX."""
        if len(self.problems) < _PROBLEMS_MAX:
            self.problems.append(Problem(self._file, None, None, f"{self._key}.{key}", expected, hint))

    def text(
        self, entry: Entry, key: str, under: str = "", fault: Callable[[str], str | None] = text_fault
    ) -> str | None:
        """Return the string at the key; None if there is none, or if it is wrong, with a problem at `under` + `key`."""
        value = entry.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self.add_problem(f"{under}{key}", "a text", "write it in quotes: YAML reads it as something else")
            return None
        if (problem := fault(value)) is not None:
            self.add_problem(f"{under}{key}", problem)
            return None
        return value

    def boolean(self, entry: Entry, key: str, *, default: bool) -> bool:
        """Return the boolean at the key."""
        value = entry.get(key, default)
        if not isinstance(value, bool):
            self.add_problem(key, "true or false")
            return default
        return value

    def part(self, entry: Entry, key: str) -> Entry:
        """Return the mapping at the key, empty if there is none."""
        value = entry.get(key)
        if value is None:
            return {}
        if not is_mapping(value):
            self.add_problem(key, "a mapping")
            return {}
        return cast("Entry", value)


def is_mapping(value: object) -> bool:
    """Return whether a value is a mapping whose keys are all strings."""
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in cast("Mapping[object, object]", value))


def merge_entries(below: Entry, above: Entry) -> Entry:
    """Merge two mappings, `above` over `below`; only their `auth` mappings are merged key by key."""
    auth_below, auth_above = below.get("auth"), above.get("auth")
    if isinstance(auth_below, Mapping) and isinstance(auth_above, Mapping):
        return {**below, **above, "auth": {**cast("Entry", auth_below), **cast("Entry", auth_above)}}
    return {**below, **above}


def resolve_entry(reader: EntryReader, entry: Entry, profile: Entry, choice: CloudChoice) -> tuple[Entry, str | None]:
    """Merge the entry over its profile, and the values of the chosen region over both; return that and the region.

    Hyphens in keys become underscores.
    """
    region, values = _choose_region(reader, entry, profile, choice)
    for key in _NOT_IN_VALUES:
        if key in values:
            reader.add_problem(f"regions.{key}", "not a key of a region's values")
    region_name = values.get("region_name", values.get("region-name", region))
    if region_name != region:
        reader.add_problem("regions.region_name", "not a key of a region's values", "the region is the one of its name")
    # An empty value of a region does not override the entry's.
    values = {key: value for key, value in values.items() if value is not None}
    return _unify_keys(reader, merge_entries(merge_entries(profile, entry), values)), region


def _choose_region(reader: EntryReader, entry: Entry, profile: Entry, choice: CloudChoice) -> tuple[str | None, Entry]:
    """Choose the region; return its name and its own settings."""
    region_names = _read_region_names(reader, entry)
    if "regions" in entry:
        return _choose_from_list(reader, entry["regions"], region_names, choice)
    if len(region_names) > 1 and choice.region not in region_names:
        if choice.usual_region in region_names and choice.region is None:
            return choice.usual_region, {}
        # Do not show the names: one may be a secret that was written here by mistake.
        reader.add_problem("region_name", f"not one region: it has {len(region_names)}", _NAME_ONE)
        return None, {}
    if not region_names and "regions" in profile:
        return _choose_from_list(reader, profile["regions"], (), choice)
    if choice.region is not None:
        return choice.region, {}
    region = region_names[0] if region_names else reader.text(profile, "region_name")
    _check_region(reader, region, choice)
    return region or choice.usual_region, {}


def _check_region(reader: EntryReader, region: str | None, choice: CloudChoice) -> None:
    """Add a problem if entry and environment name different regions, and the plan names none."""
    if choice.region is None and region is not None and choice.usual_region not in (None, region):
        expected = f"not one region: it says {region}, OS_REGION_NAME says {choice.usual_region}"
        reader.add_problem("region_name", expected, "unset OS_REGION_NAME, or say which: `region:` in the plan")


def _read_region_names(reader: EntryReader, entry: Entry) -> Sequence[str]:
    """Return the regions under region_name: a string, several separated by commas, or a list."""
    value = entry.get("region_name", entry.get("region-name"))
    if isinstance(value, list):
        names = cast("list[object]", value)
        if not all(isinstance(name, str) and name and text_fault(name) is None for name in names):
            reader.add_problem("region_name", "a list of texts")
            return ()
        return cast("list[str]", names)
    text = reader.text({"region_name": value}, "region_name")
    return text.split(",") if text is not None else ()


def _choose_from_list(
    reader: EntryReader, regions_value: object, region_names: Sequence[str], choice: CloudChoice
) -> tuple[str | None, Entry]:
    regions = dict(_list_regions(reader, regions_value))
    if not regions:
        return None, {}
    first, names = next(iter(regions)), ", ".join(printable(name) for name in list(regions)[:REGIONS_LISTED])
    if region_names:
        _check_region(reader, region_names[0], choice)
    wanted = choice.region or (None if region_names else choice.usual_region)
    if wanted is not None:
        if wanted not in regions:
            suggestion = did_you_mean(wanted, regions, spelled=repr)
            hint = f"{suggestion} Its regions: {names}" if suggestion else f"its regions: {names}"
            reader.add_problem("regions", f"not a list that has {wanted}", hint)
            return wanted, {}
        return wanted, regions[wanted]
    if region_names and list(region_names) != [first]:
        # openstacksdk ignores region_name and takes the first of the list.
        reader.add_problem(
            "region_name", f"not the first of `regions`: {names}", f"leave one of the two out, or {_NAME_ONE}"
        )
    elif len(regions) > 1 and not region_names:
        reader.add_problem("region_name", f"a region: one of {names}", _NAME_ONE)
    return first, regions[first]


def _list_regions(reader: EntryReader, regions_value: object) -> Iterator[tuple[str, Entry]]:
    """Yield the regions of a list with their own settings; items are names, or mappings with `name` and `values`."""
    if not isinstance(regions_value, list) or not regions_value:
        reader.add_problem("regions", "a list of regions")
        return
    names: set[str] = set()
    for number, item in enumerate(cast("list[object]", regions_value)):
        item_key = f"regions[{number}]"
        region = cast("Entry", item if is_mapping(item) else {"name": item})
        for key in region:
            if key not in ("name", "values"):
                reader.add_problem(f"{item_key}.{printable(key)}", "not a key of a region", "it has a name, and values")
        name, values = reader.text(region, "name", f"{item_key}."), region.get("values")
        if values is not None and not is_mapping(values):
            reader.add_problem(f"{item_key}.values", "a mapping")
        elif name is None:
            reader.add_problem(f"{item_key}.name", "a region")
        elif name in names:
            reader.add_problem(item_key, "not a region that is listed once")
        else:
            names.add(name)
            yield name, cast("Entry", values or {})


def _unify_keys(reader: EntryReader, entry: Entry) -> Entry:
    """Replace hyphens in keys by underscores; refuse two spellings of one key: openstacksdk takes either by chance."""
    auth = reader.part(entry, "auth")
    first_spellings: dict[str, str] = {}
    unified: list[dict[str, object]] = []
    for part in (auth, entry):
        renamed: dict[str, object] = {}
        for key, value in part.items():
            name = key.replace("-", "_")
            if key.endswith("endpoint-type"):
                reader.add_problem(printable(key), "not a key that openstacksdk heeds", f"write {printable(name)}")
            if key == "auth-url" and isinstance(value, str) and "{" in value:
                reader.add_problem(f"auth.{key}", "not a key that openstacksdk fills in", "write auth_url")
            if first_spellings.setdefault(name, key) != key:
                spellings = f"{printable(first_spellings[name])} and {printable(key)}"
                reader.add_problem(
                    printable(key), f"not a key that is spelled in one way: {spellings}", f"write {printable(name)}"
                )
            renamed[name] = value
        unified.append(renamed)
    return {**unified[1], "auth": unified[0]}
