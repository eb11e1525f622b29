"""Fault scripts: what must go wrong together, and at the right moment, before a guard of the protocol is needed at all.

Worlds that draw each fault for itself come to these once in thousands. A fault script is drawn apart from the rest
of its world, and takes the place of some of it: what is promised covers all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

from pydantic import TypeAdapter

from fleetos.model.plan import ApiLimits, PowerAfter, Rollout, Share, StopMode
from fleetos.sim.scenario.faults import Rule
from fleetos.sim.scenario.scenario import Tokens
from tests.simulation.spec import Act, Operator, Spec

_RULES: TypeAdapter[tuple[Rule, ...]] = TypeAdapter(tuple[Rule, ...])
# One world in so many has a fault script; a small one then dies at every point of it.
_EVERY = 4
# Codes that refuse everybody who comes with this token, each with the status that it is documented with.
_STOP_RUN = ("Ecs.0003", "Ecs.0110", "Pdp.0001", "Ecs.0023", "Common.0018", "APIGW.0302")
# As long as a write waits for its answer.
_WRITE_S = 75.0
_OTHER_IMAGE = "Standard_Debian_11_latest"
Plot = Callable[[Random, Spec, int, float], Spec]


def with_plot(spec: Spec, servers: int, settle_s: float) -> Spec:
    """Return the spec with a fault script in it if its seed is one for that, else as it is. The scripts take turns."""
    turn, rest = divmod(spec.seed, _EVERY)
    if rest != _EVERY - 1:
        return spec
    return _PLOTS[turn % len(_PLOTS)](Random(f"plot {spec.seed}"), spec, servers, settle_s)


def faults(*drafts: Mapping[str, object]) -> tuple[Rule, ...]:
    """Return the rules that are drafted."""
    return _RULES.validate_python(drafts)


def all_stopped(spec: Spec) -> Spec:
    """Return the spec with servers that are all stopped at first, in a cloud that refuses a change of a running one."""
    groups = tuple(group.model_copy(update={"state": "stopped"}) for group in spec.scenario.servers)
    return replace(spec, scenario=spec.scenario.model_copy(update={"lax": False, "servers": groups}))


def _forbidden(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """The cloud refuses the whole run now and then, while other writes are on their way.

    They leave one after the other, and some wait for a token: these are short-lived, and long in coming.
    """
    refused_on, often = ("read", 0.03) if chance.random() < 0.25 else ("changeos", 0.4)
    refuse = {"do": "refuse", "on": refused_on, "rate": often, "code": _STOP_RUN}
    slow_write = {"do": "latency", "on": "write", "seconds": (0.5, chance.choice((4.0, 6.0)))}
    slow_login = {"do": "latency", "on": "token", "seconds": (3.0, 4.7)}
    spec, tokens = all_stopped(spec), Tokens(lifetime_s=chance.choice((7.0, 9.0)))
    return replace(
        spec,
        scenario=spec.scenario.model_copy(update={"tokens": tokens}),
        faults=faults(refuse, slow_write, slow_login),
        rollout=replace(spec.rollout, concurrency=Share(float(servers + 3))),
        limits=ApiLimits(1.0, 1.0, 16),
        deaths=(),
        freezes=(),
        operator=replace(spec.operator, resume_s=(1.0, 120.0)),
    )


def _started(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """A send comes later than its settle time, and somebody has started its server before anybody looks at it again.

    A running server is all that stands before the late one.
    """
    late_s = (settle_s * 1.5 + 200.0, settle_s * 3.0 + 600.0)
    late = {"do": "late", "on": "changeos", "nth": [1], "seconds": late_s, "answer": "hang"}
    acts = [Act(chance.uniform(5.0, _WRITE_S + 45.0), "start", server) for server in range(servers) for _ in "12"]
    return replace(
        spec,
        scenario=spec.scenario.model_copy(update={"lax": False}),
        rollout=Rollout(Share(float(servers)), StopMode.SOFT_THEN_HARD),
        faults=faults(late),
        acts=tuple(acts),
    )


def _put_back(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """A send comes when a second one has changed its server, which was stopped before and is to be stopped again."""
    late = {"do": "late", "on": "changeos", "nth": [1], "seconds": (settle_s * 2.0 + 200.0, settle_s * 3.0 + 600.0)}
    return replace(
        all_stopped(spec),
        rollout=Rollout(Share(float(servers)), StopMode.SOFT_THEN_HARD, power_after=PowerAfter.AS_BEFORE),
        faults=faults(late),
        acts=(),
        deaths=(),
    )


def _queueing(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """Servers that are ready wait long for a place on the wire, and somebody else changes them meanwhile."""
    hang = {"do": chance.choice(("hang-before", "hang-after")), "on": "changeos", "nth": [1, 2]}
    acts = [Act(chance.uniform(20.0, 120.0), "change", server, _OTHER_IMAGE) for server in range(servers)]
    return replace(
        all_stopped(spec),
        rollout=replace(spec.rollout, concurrency=Share(float(max(4, servers)))),
        limits=replace(spec.limits, connections=2),
        faults=faults(hang),
        acts=tuple(chance.sample(acts, max(1, servers - 1))),
        deaths=(),
        freezes=(),
    )


def _overdue(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """Changes never end, whoever drives the run dies beside them, and the next one comes when they are overdue."""
    stuck = {"do": "stuck", "on": "changeos", "effect_happens": False, "rate": 0.8}
    return replace(
        spec,
        timeouts=replace(spec.timeouts, change_s=max(spec.timeouts.change_s, 900.0, settle_s)),
        rollout=replace(spec.rollout, concurrency=Share(float(chance.choice((1, 2, max(1, servers)))))),
        faults=faults(stuck),
        acts=(),
        deaths=(chance.randint(12, 20 + 10 * servers),) if chance.random() < 0.7 else (),
        operator=Operator((1800.0, 7200.0), None, spec.operator.retries),
        calm_at_s=1800.0,
    )


def _doubtful(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """Answers are lost, and of each server the cloud says once that there is none."""
    how = chance.choice(("cut-before", "cut-before", "hang-before", "cut-after"))
    lost = {"do": how, "on": "changeos", "nth": [1, 2]}
    # The first looks are those before a stop; what counts is what is seen after the send.
    reads = {"on": "detail", "nth": list(range(4, 16)), "rate": 0.3, "per_server": 1}
    absent = {"do": "refuse", "code": "Ecs.0114", **reads}
    return replace(spec, faults=faults(lost, absent), acts=(), deaths=(), freezes=())


def _blinded(chance: Random, spec: Spec, servers: int, settle_s: float) -> Spec:
    """As in `_queueing`, and the list of servers is not to be had meanwhile: who waits is not seen by the way."""
    spec = _queueing(chance, spec, servers, settle_s)
    unlisted = {"do": "refuse", "on": "list", "nth": list(range(3, 80)), "code": "Common.0001", "status": 503}
    return replace(spec, faults=(*spec.faults, *faults(unlisted)))


_PLOTS: tuple[Plot, ...] = (_forbidden, _started, _put_back, _queueing, _overdue, _doubtful, _blinded)
