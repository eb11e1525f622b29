"""Plans drawn from the grammar of the plan file: each is valid, and says something else than the one before."""

from pathlib import Path
from random import Random
from typing import Any, cast

Tree = dict[str, Any]

_NAMES = (
    "web-01",
    "db 1",
    "no",
    "Null-1",
    "0x",
    "1e3x",
    "\u00fcml\u00e4ut",
    "a,b;c",
    "it's",
    'say "x"',
    "\U0001f600",
    "#x",
    "- y",
)
_TEXTS = (
    "Debian",
    "on",
    "true",
    "~",
    "012",
    "1.5",
    "2026-01-01",
    "a: b",
    "*x",
    "&y",
    "!z",
    "%",
    "@",
    "`",
    "{",
    "x" * 255,
)
_DURATIONS = ("1s", "90s", "1m30s", "1.5h", "2h", "1h1m1s", "600s", "10m", "1500ms", "3599.5s")
_WAITS = ("0s", "1ms", "30s", "1h", "168h")
_INTERVALS = ("50ms", "0.2s", "5s", "1m", "1h")
_LABELS = ("pair", "rack.row/1", "A_b-c", "x" * 63)
_ID = "616fb98f-46ca-475e-917e-{:012x}"


def write_files(folder: Path) -> None:
    """The files that the plans name."""
    (folder / "s.csv").write_text('id,pair,note\n616FB98F-46ca-475e-917e-0000000000ff,a,"x, y"\n', encoding="utf-8")
    (folder / "n.csv").write_bytes(b"\xef\xbb\xbfname\r\nfrom-csv-1\r\n\r\nfrom-csv-2\r\n")
    (folder / "cloud-init").write_bytes(b"#cloud-config\na: \xff")


def plan_tree(random: Random) -> Tree:
    """A plan that can be loaded from a folder with those files."""
    tree: Tree = {"version": 1, "name": random.choice(["a", "web-tier-debian-12", "0", "no", "1e3", "x" * 63])}
    tree["change"] = change(random, whole=True)
    tree["servers"] = servers(random)
    for key, value in (
        ("cloud", random.choice(_TEXTS)),
        ("region", "eu-de"),
        ("exclude", [random.choice([{"name": "*-gold"}, {"name": "[a-"}, {"id": _ID.format(3)}]) for _ in range(2)]),
        ("allow_managed", random.sample(["node-1", _ID.format(4), "n\u00f6de"], random.randint(0, 3))),
        ("allow_protected", random.sample(["db-1", _ID.format(5), "n\u00f6de"], random.randint(0, 3))),
        ("rollout", rollout(random)),
        ("failure", {"attempts": random.randint(1, 10), "backoff": random.choice(_WAITS), "max_backoff": "168h"}),
        ("timeouts", {key: random.choice(_DURATIONS) for key in ("stop", "change", "settle", "start")}),
        ("polling", {"min": random.choice(_INTERVALS), "max": "1h"}),
        ("api", {"rate": random.choice(["auto", "10/s", "200/5m", "1/168h"]), "connections": random.randint(1, 256)}),
    ):
        if random.random() < 0.5:
            tree[key] = value
    return tree


def rollout(random: Random) -> Tree:
    """How fast, and with what power."""
    return {
        "concurrency": random.choice([1, 10_000, "1%", "12.5%", "0.000001%", "100%"]),
        "stop": random.choice(["soft", "hard", "soft-then-hard", "api"]),
        "force": random.random() < 0.5,
        "power_after": random.choice(["running", "as-before"]),
    }


def change(random: Random, *, whole: bool) -> Tree:
    """What a server gets; `whole`: enough for every server."""
    found: Tree = {"image": random.choice(_TEXTS)} if whole or random.random() < 0.5 else {}
    login = random.choice([{}, {"keyname": "key"}, {"adminpass": {"env": "PW"}}, {"adminpass": {"file": "../pw"}}])
    data = random.choice([{}, {"user_data": {"text": random.choice(_TEXTS)}}, {"user_data": {"file": "cloud-init"}}])
    api = {"api": random.choice(["auto", "v2"])} if data or random.random() < 0.5 else {}
    metadata: Tree = {"__system__encrypted": "1", "__system__cmkid": _ID.format(1), "BYOL": "true"}
    more = random.choice(
        [{}, {"userid": "7e25b1da"}, {"metadata": metadata}, {"metadata": {"BYOL": "true"}}, {"metadata": {}}]
    )
    return {**found, **login, **data, **api, **more}


def servers(random: Random) -> list[Tree]:
    """One server at least, each listed once, and the files."""
    named = random.sample(_NAMES, random.randint(1, 4))
    listed: list[Tree] = [{"name": name} for name in named]
    listed += [
        {"id": random.choice([str.upper, str.lower])(_ID.format(number))} for number in range(random.randint(0, 3))
    ]
    for one in listed:
        if random.random() < 0.4:
            one["labels"] = {label: random.choice(("", *_TEXTS)) for label in random.sample(_LABELS, 2)}
        if random.random() < 0.3:
            one["change"] = change(random, whole=False)
    listed += [
        {"select": selector(random), "labels": {"of": str(place)}} for place in range(random.choice((0, 0, 1, 2)))
    ]
    listed += [{"file": file} for file in random.sample(["s.csv", "n.csv"], random.randint(0, 2))]
    random.shuffle(listed)
    return listed


def selector(random: Random) -> Tree:
    """Servers by what the cloud says of them, with one key at least."""
    texts = [text for text in _TEXTS if text != "*x"]
    values: Tree = {
        "name": ["web-*", "[a-", "db-[!0]?", *_NAMES],
        "az": texts,
        "image": texts,
        "flavor": texts,
        "status": ["ACTIVE", "SHUTOFF", "ERROR"],
        "enterprise_project": ["0", _ID.format(4)],
        "ip": ["10.0.0.7", "10.0.0.0/24", "::", "fd00::/8", "0.0.0.0/0"],
    }
    found = {key: one_or_more(random, values[key]) for key in random.sample(list(values), random.randint(1, 4))}
    tags = {text: one_or_more(random, ["", "*", *texts]) for text in random.sample(texts, 2)}
    return {**found, "tags": tags} if random.random() < 0.5 else found


def one_or_more(random: Random, values: list[str]) -> Any:
    """One of the values, or a list of some."""
    return random.choice([random.choice(values), random.sample(values, random.randint(1, 2))])


def shuffled(random: Random, tree: Any) -> Any:
    """The same tree with the keys of its mappings in another order."""
    if isinstance(tree, list):
        return [shuffled(random, one) for one in cast("list[Any]", tree)]
    if not isinstance(tree, dict):
        return tree
    mapping = cast("Tree", tree)
    return {key: shuffled(random, mapping[key]) for key in random.sample(list(mapping), len(mapping))}
