"""The families of faults, each drawn for itself, and the fence within which the promise holds."""

from dataclasses import dataclass
from random import Random
from typing import cast

from pydantic import TypeAdapter

from fleetos.sim.scenario.faults import Rule

_RULES: TypeAdapter[tuple[Rule, ...]] = TypeAdapter(tuple[Rule, ...])
_AMBIGUOUS = ("Ecs.0002", "Ecs.1000", "Ecs.1001", "Ecs.1002", "Ecs.1300", "Ecs.9999", "Common.0001")
_FATAL = ("Ecs.0005", "Ecs.0007", "Ecs.0025", "Ecs.0031", "Ecs.0314", "Ecs.0510")
_LATER = ("Ecs.0001", "Ecs.0021", "Ecs.0044", "Ecs.0073")
_CONFLICT = ("Ecs.0100", "Ecs.0603")
_FORMS = ("ecs", "gateway", "nested", "html", "plain", "empty")
# Two looks this far apart prove that no stop is under way any more: a stop may act late by less.
_STOP_LATE_S = 25.0
Draft = dict[str, object]


@dataclass(frozen=True, slots=True)
class Fence:
    """What keeps a late request from doing harm in this world, and so how late one may be.

    `lax`: the cloud accepts a change in any state. `stopped_by_others`: somebody may stop a server that was changed.
    `overlong`: a change may take longer than its time-out and its settle time, and then it is seen while it goes on.
    """

    settle_s: float
    poll_max_s: float
    lax: bool
    stopped_by_others: bool
    by_api: bool
    as_before: bool
    overlong: bool

    @property
    def holds(self) -> bool:
        """Whether a request that comes a second time, or too late, meets a running server and is refused."""
        return not (self.lax or self.stopped_by_others or self.by_api)


def rules(chance: Random, fence: Fence, *, few: bool) -> tuple[Rule, ...]:
    """Return the fault rules of a world: some families of them, or only one or two if `few`."""
    families = [_change_refused, _change_lost, _change_late, _change_fails, _change_looks, _stop_lost, _stop_fails]
    families += [_start_fails, _reads, _throttled, _tokens, _slow]
    if few:
        chosen = chance.sample(families[:8], chance.randint(0, 2))
    else:
        chosen = [family for family in families if chance.random() < 0.35]
    drafts = [draft for family in chosen for draft in family(chance, fence)]
    return _RULES.validate_python(drafts)


def _rate(chance: Random) -> float:
    return chance.choice((0.03, 0.1, 0.25, 0.5))


def _once(chance: Random) -> Draft:
    """Strike the first or second time for a server, or at a rate."""
    return chance.choice(
        ({"nth": [1]}, {"nth": [2]}, {"nth": [1, 2]}, {"rate": _rate(chance)}, {"rate": _rate(chance)})
    )


def _change_refused(chance: Random, fence: Fence) -> list[Draft]:
    codes = chance.choice((_AMBIGUOUS, _AMBIGUOUS, _FATAL, _LATER, _CONFLICT, ("Ecs.0605",), ("Common.0024",)))
    draft: Draft = {"do": "refuse", "on": "changeos", "code": codes, **_once(chance)}
    if codes is _AMBIGUOUS:
        draft |= {"status": chance.choice((400, 500, 502, 503)), "form": chance.choice(_FORMS)}
    if codes is _CONFLICT and chance.random() < 0.5:
        draft |= {"status": 409}
    return [draft]


def _change_lost(chance: Random, fence: Fence) -> list[Draft]:
    kinds = ("cut-before", "cut-after", "close-before", "close-after", "hang-before", "hang-after", "unreachable")
    drafts: list[Draft] = [
        {"do": kind, "on": "changeos", **_once(chance)} for kind in chance.sample(kinds, chance.randint(1, 3))
    ]
    if chance.random() < 0.5:
        drafts.append({"do": "error-after", "on": "changeos", "code": "APIGW.0201", **_once(chance)})
    if chance.random() < 0.5:
        bodies = ("html", "truncated", "empty", "garbage", "no-job-id", "oversized")
        drafts.append({"do": "garble", "on": "changeos", "body": chance.choice(bodies), **_once(chance)})
    return drafts


def _change_late(chance: Random, fence: Fence) -> list[Draft]:
    """Late effects and second deliveries.

    Without the fence a request may be late by less than the settle time only, and never come twice: nobody could tell
    the second from the first. With it a lost request may come much later. One that finds its server failed, or stopped
    by somebody else, is accepted all the same: nothing is promised of that, and no checker asks for it.
    """
    late_s = fence.settle_s * 0.9
    if fence.holds and not fence.as_before and chance.random() < 0.3:
        late_s = fence.settle_s * 3
    drafts: list[Draft] = [{"do": "late", "on": "changeos", "seconds": (1.0, late_s), **_once(chance)}]
    if fence.holds and chance.random() < 0.6:
        drafts.append({"do": "double", "on": "changeos", "seconds": (1.0, fence.settle_s * 0.9), **_once(chance)})
    return drafts


def _change_fails(chance: Random, fence: Fence) -> list[Draft]:
    pictures = ("old-disk", "no-disk", "new-disk", "error", "endless")
    chosen = chance.sample(pictures, chance.randint(1, 2))
    codes = ("Ecs.0202", "Ecs.0205", "Ecs.0219", "Common.0021", "Ecs.9876")
    drafts: list[Draft] = [{"do": "fail", "on": "changeos", "code": codes, "picture": chosen, **_once(chance)}]
    if chance.random() < 0.3:
        drafts.append({"do": "no-effect", "on": "changeos", **_once(chance)})
    if chance.random() < 0.3:
        drafts.append({"do": "stuck", "on": "changeos", "effect_happens": chance.random() < 0.5, **_once(chance)})
    return drafts


def _change_looks(chance: Random, fence: Fence) -> list[Draft]:
    drafts: list[Draft] = []
    if fence.overlong:
        return drafts
    if chance.random() < 0.7:
        picture = chance.choice(("rebuild", "idle", "no-disk", "early-disk"))
        flips = chance.choice(("start", "end", "late", "never"))
        drafts.append({"do": "show", "on": "changeos", "picture": picture, "image_flips": flips, **_once(chance)})
    if chance.random() < 0.5:
        life = {
            "visible_after_s": chance.choice((0.0, 20.0, 90.0)),
            "vanishes_after_s": chance.choice((1.0, 60.0, 86400.0)),
        }
        drafts.append({"do": "job-life", "on": "changeos", **life, **_once(chance)})
    if chance.random() < 0.5:
        # A failed change is believed after two equal looks so far apart.
        drafts.append({"do": "lag", "on": "changeos", "seconds": (1.0, fence.poll_max_s * 0.8), **_once(chance)})
    return drafts


def _stop_lost(chance: Random, fence: Fence) -> list[Draft]:
    kinds = ("cut-before", "cut-after", "hang-before", "hang-after", "unreachable", "error-after")
    drafts: list[Draft] = [
        {"do": kind, "on": ["stop", "start"], **_once(chance)} for kind in chance.sample(kinds, chance.randint(1, 2))
    ]
    if chance.random() < 0.5:
        late_s = min(_STOP_LATE_S, fence.settle_s)
        drafts.append({"do": "late", "on": "stop", "seconds": (1.0, late_s), **_once(chance)})
    if chance.random() < 0.3:
        drafts.append({"do": "double", "on": "stop", "seconds": (1.0, _STOP_LATE_S), **_once(chance)})
    return drafts


def _stop_fails(chance: Random, fence: Fence) -> list[Draft]:
    kind = chance.choice(("fail", "no-effect", "lag", "stuck", "refuse"))
    draft: Draft = {"do": kind, "on": "stop", **_once(chance)}
    if kind == "lag":
        draft["seconds"] = (1.0, _STOP_LATE_S)
    if kind == "stuck":
        draft["effect_happens"] = chance.random() < 0.5
    if kind == "refuse":
        draft["code"] = chance.choice(("Ecs.0605", "Ecs.0611", "Ecs.0114", "Common.0001"))
        if draft["code"] == "Ecs.0114":
            draft["code"] = "Ecs.0100"
    return [draft]


def _start_fails(chance: Random, fence: Fence) -> list[Draft]:
    return [{"do": chance.choice(("fail", "no-effect", "refuse")), "on": "start", **_once(chance)}]


def _reads(chance: Random, fence: Fence) -> list[Draft]:
    rate = chance.choice((0.02, 0.1, 0.3))
    drafts: list[Draft] = []
    if chance.random() < 0.5:
        drafts.append({"do": "stale", "on": ["detail", "list"], "seconds": (0.0, 30.0), "rate": rate})
    if chance.random() < 0.5:
        drafts.append({"do": chance.choice(("cut-before", "hang-before", "unreachable")), "on": "read", "rate": rate})
    if chance.random() < 0.5:
        code, form = chance.choice(("Common.0001", "Common.0025", "Ecs.0002", "APIGW.0201")), chance.choice(_FORMS)
        drafts.append({"do": "refuse", "on": "read", "rate": rate, "code": code, "status": 500, "form": form})
    if chance.random() < 0.5:
        body = chance.choice(("html", "truncated", "empty", "garbage"))
        drafts.append({"do": "garble", "on": "read", "rate": rate, "body": body})
    return drafts


def _throttled(chance: Random, fence: Fence) -> list[Draft]:
    draft: Draft = {"do": "throttle", "on": chance.choice(("any", "write", "read")), "requests": chance.randint(3, 30)}
    draft |= {
        "per_s": chance.choice((5.0, 60.0, 300.0)),
        "stated": chance.random() < 0.5,
        "plain": chance.random() < 0.3,
    }
    if chance.random() < 0.3:
        draft["retry_after_s"] = chance.choice((1, 30, 120))
    return [draft]


def _tokens(chance: Random, fence: Fence) -> list[Draft]:
    if chance.random() < 0.5:
        return [{"do": "refuse", "on": "write", "rate": 0.1, "code": chance.choice(("APIGW.0301", "Common.0013"))}]
    kind = cast(
        "Draft", chance.choice(({"do": "refuse", "code": "IAM.0011"}, {"do": "cut-before"}, {"do": "hang-after"}))
    )
    return [{**kind, "on": "token", "rate": 0.2}]


def _slow(chance: Random, fence: Fence) -> list[Draft]:
    return [{"do": "latency", "on": "any", "seconds": (0.01, chance.choice((0.5, 4.0, 20.0))), "rate": 0.3}]
