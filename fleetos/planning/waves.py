"""Waves: order the members of a run, and deal them out to waves. Pure.

A member is a target that the freeze leaves to be changed. Percentages are of the members that an entry matches; they
round down, but never to 0.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from fleetos.errors import Problem
from fleetos.model.plan import SourcePosition
from fleetos.model.run import Target
from fleetos.model.steering.rollout import SteeringPlan, Wave, WaveEntry
from fleetos.model.steering.share import Share
from fleetos.text import join_some

# A last size that repeats makes as many waves as it takes, but no more than people can follow.
WAVES_MAX = 1_000
# Share of a wave that may fail where the plan does not say it.
_MAX_FAILED_PER_WAVE = Share(5, percent=True)
_NAMED = 5
_LABEL = "label:"

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class WavePlan:
    """Members in the order of their changes, each with the number of its wave, and the waves."""

    members: tuple[Target, ...]
    waves: tuple[Wave, ...]
    problems: tuple[Problem, ...] = ()


def plan_waves(steering: SteeringPlan, members: Sequence[Target], place: Callable[[str], SourcePosition]) -> WavePlan:
    """Order the members and deal them out. `place` returns the position of a dotted key of the plan."""
    ordered = order_members(members, steering.order or (("spread",) if steering.waves else ("listed",)))
    if not steering.waves:
        return WavePlan(tuple(ordered), ())
    numbers: dict[str, int] = {}
    waves: list[Wave] = []
    problems: list[Problem] = []
    for entry in steering.waves:
        matched = [member for member in ordered if entry.match.covers(member)]
        left = [member for member in matched if member.server_id not in numbers]
        if not left:
            text = "matches no server" if not matched else "matches only servers of earlier waves"
            problems.append(_entry_place(entry, place).fault(f"the entry {text} that the run changes"))
        for size in _sizes(entry, len(matched)):
            if not left or len(waves) == WAVES_MAX:
                break
            taken, left = left[:size], left[size:]
            waves.append(_make_wave(len(waves) + 1, entry, len(taken), steering))
            numbers.update(dict.fromkeys((member.server_id for member in taken), len(waves)))
        if left and len(waves) == WAVES_MAX:
            problems.append(place("rollout.waves").fault(f"there would be more than {WAVES_MAX:,} waves"))
            break
    outside = [member.name for member in ordered if member.server_id not in numbers]
    if outside and len(waves) < WAVES_MAX:
        text = f"no wave takes {join_some(outside, _NAMED)}"
        problems.append(place("rollout.waves").fault(text, "end with an entry of 100%, or `exclude` them"))
    placed = sorted(ordered, key=lambda member: numbers.get(member.server_id, 0))
    numbered = tuple(replace(member, wave=numbers.get(member.server_id, 0)) for member in placed)
    return WavePlan(numbered, tuple(waves), tuple(problems))


def _entry_place(entry: WaveEntry, place: Callable[[str], SourcePosition]) -> SourcePosition:
    return place(f"rollout.waves[{entry.index}]")


def _sizes(entry: WaveEntry, matched: int) -> Iterator[int]:
    """Yield the sizes of the waves of an entry; the last one for ever where it repeats."""
    sizes = [size.of(matched, at_least=1) for size in entry.sizes]
    yield from sizes
    while entry.repeats:
        yield sizes[-1]


def _make_wave(number: int, entry: WaveEntry, members: int, steering: SteeringPlan) -> Wave:
    allowed = steering.max_failed_per_wave or _MAX_FAILED_PER_WAVE
    return Wave(number, entry.name, members, entry.between, allowed.of(members, at_least=0))


def order_members(members: Iterable[Target], keys: Sequence[str]) -> list[Target]:
    """Return the members ordered by the keys, the weightiest first, and then as they were listed."""
    listed = sorted(members, key=lambda member: member.position)
    if not keys or len(listed) < 2:
        return listed
    key, *rest = keys
    groups: defaultdict[tuple[bool, str], list[Target]] = defaultdict(list)
    if key == "listed":
        return listed
    for member in listed:
        groups[_value_of(key, member)].append(member)
    ordered = {value: order_members(group, rest) for value, group in groups.items()}
    if key == "spread":
        # The commonest first: they are what most servers are like.
        return _deal(sorted(ordered.values(), key=lambda group: (-len(group), group[0].position)))
    return [member for value in sorted(ordered) for member in ordered[value]]


def _deal(groups: Sequence[Sequence[Item]]) -> list[Item]:
    """Return one of each group in turn."""
    longest = max(map(len, groups), default=0)
    return [group[turn] for turn in range(longest) for group in groups if turn < len(group)]


def _value_of(key: str, member: Target) -> tuple[bool, str]:
    """Return the value by which a key orders a member; who has none comes last."""
    if key == "down-first":
        return member.ran_before, ""
    if key == "spread":
        return False, kind_of(member)
    if key.startswith(_LABEL):
        value = member.labels.get(key.removeprefix(_LABEL))
    else:
        value = {"name": member.name, "az": member.az, "flavor": member.flavor}[key]
    return value is None, value or ""


def kind_of(member: Target) -> str:
    """Return the kind of a server, in words: zone, flavor and image at the freeze."""
    return f"{member.flavor or 'no flavor'} in {member.az or 'no zone'} on {member.baseline.likely_image or 'no image'}"


def kinds_without_canary(members: Iterable[Target]) -> Mapping[str, int]:
    """Return the kinds of servers that the first wave has none of, and how many there are of each."""
    kinds: Counter[str] = Counter()
    first: set[str] = set()
    for member in members:
        kinds[kind_of(member)] += 1
        if member.wave == 1:
            first.add(kind_of(member))
    return {kind: number for kind, number in kinds.most_common() if kind not in first}
