"""What hostile input is made of: texts, leaves, trees that were right before something happened to them, and bytes.

What is drawn often is drawn from a Random that hypothesis seeds: that is many times cheaper than its own choices, and
a failure is repeated by the printed seed all the same.
"""

import copy
import gzip
import json
from random import Random
from typing import Any, cast

from hypothesis import strategies as st

# What breaks terminals, lines, paths, numbers and parsers that take a text for something else.
NASTY_TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\x1b[2J\x1b[31m",
        "\x9b31m",
        "\x7f",
        "\r\n",
        "a\nb",
        "\u202e\u2066",
        "\u2028",
        "\ufeff",
        "\ufffe",
    ),
    *("\ud800", "\udcff", "e\u0301" * 40, "\U0001f600", "\ufb00", "\u0130", "\u00df", "<b>x</b>", "<" * 3000),
    *("%s%n{0}{x}", "${HOME}", "../../etc/passwd", "/", "//", "?", "#", "a b", "x" * 64, "x" * 256, "y" * 5000),
    *("'", '"', "\\", "\\u0000", "0", "-0", "--5", "-", "+1", "1e999", "9" * 18, "9" * 19, "9" * 5000, "0x10"),
    *("\uff11\uff12", "\u0663", "\u00b2", "NaN", "null", "true", "limit:1,time:999999 day", "limit:0,time:0"),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-02-30", "2026-W01-1", "20260101T000000Z"),
    *('{"error": {"code": "E", "message": "x"}}', "{" * 200, "https://xn--/", "https://a:99999/", "http://u@h/"),
)
NASTY_NUMBERS = (
    *(0, -1, 2, 2**31, 2**63 - 1, 2**63, -(2**63), 10**30, -(10**4000), 0.5, -0.0),
    *(float("nan"), float("inf"), float("-inf"), 1e308, 5e-324),
)
NASTY_LEAVES: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"": None}, *NASTY_NUMBERS, *NASTY_TEXTS)

randoms = st.randoms(use_true_random=True)
texts = st.sampled_from(NASTY_TEXTS) | st.text(max_size=12)
leaves: st.SearchStrategy[Any] = st.sampled_from(NASTY_LEAVES) | st.integers() | st.floats() | texts
trees: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def places_in(tree: Any) -> list[tuple[Any, Any]]:
    """Each container of the tree with each key or index of it, the outer ones first."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop(0)
        keys: list[Any] = []
        if isinstance(node, dict):
            keys = list(cast("dict[Any, Any]", node))
        elif isinstance(node, list):
            keys = list(range(len(cast("list[Any]", node))))
        found += [(node, key) for key in keys]
        waiting += [node[key] for key in keys]
    return found


def spoiled(random: Random, tree: Any, most: int = 3) -> Any:
    """The tree with a few of its parts dropped, renamed, wrapped, doubled, moved or replaced."""
    whole: Any = {"": copy.deepcopy(tree)}
    for _ in range(random.randint(1, most)):
        places = places_in(whole)
        _spoil(random, places, *random.choice(places))
    return whole[""]


def _spoil(random: Random, places: list[tuple[Any, Any]], node: Any, key: Any) -> None:
    inner = node is not places[0][0]
    match random.choice(["drop", "rename", "wrap", "double", "move", "leaf", "leaf", "leaf", "leaf"]):
        case "drop" if inner:
            del node[key]
        case "rename" if inner and isinstance(node, dict):
            node[random.choice(NASTY_TEXTS)] = cast("dict[Any, Any]", node).pop(key)
        case "wrap":
            node[key] = random.choice([[node[key]], {"": node[key]}, {"error": node[key]}])
        case "double" if isinstance(node, list):
            listed = cast("list[Any]", node)
            listed.append(copy.deepcopy(listed[key]))
        case "move":
            other, place = random.choice(places)
            node[key] = copy.deepcopy(other[place])
        case _:
            node[key] = copy.deepcopy(random.choice(NASTY_LEAVES))


def replaced(random: Random, tree: Any, each: int) -> list[Any]:
    """Copies of the tree, in each of which one place holds something nasty; every place is tried so many times."""
    found: list[Any] = []
    for number in range(len(places_in(tree))):
        for leaf in random.sample(NASTY_LEAVES, each):
            spoilt = copy.deepcopy(tree)
            node, key = places_in(spoilt)[number]
            node[key] = leaf
            found.append(spoilt)
    return found


def json_bytes(tree: Any) -> bytes:
    """The tree as JSON of the careless kind: NaN is written as NaN, half a surrogate pair as its escape."""
    return json.dumps(tree).encode()


def mangled(random: Random, data: bytes, depths: tuple[int, ...] = (20, 2_000, 50_000)) -> bytes:
    """The bytes cut, doubled, spiked, encoded otherwise, buried so deep, or most often as they were."""
    at = random.randrange(len(data) + 1)
    spike = random.choice([b"\xff", b"\0", b"\x80", b"NaN", b"-Infinity", b"\xef\xbb\xbf", b"}", b'"', b"[", b","])
    twice = b'"id": [], "server": 5, "status": {}, "status": 7, '
    levels = random.choice(depths)
    return random.choice(
        [
            *[data] * 12,
            data[:at],
            data[:at] + spike + data[at:],
            data[:1] + twice + data[1:],
            data + data,
            data.decode("utf-8", "replace").encode(random.choice(["utf-16", "utf-32", "utf-8-sig"])),
            b"[" * levels + data + b"]" * levels,
            b"<html><h1>502 Bad Gateway</h1>\x1b[31m" + data + b"</html>",
            gzip.compress(data, 1),
            b"",
        ]
    )
