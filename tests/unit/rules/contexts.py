"""Contexts of one rule: looks at plain moments, and what the rule may know besides them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from fleetos.clock import Moment
from fleetos.model.inventory import ServerSnapshot
from fleetos.model.journal.events import AttemptEnded, Moved, TargetEvent
from fleetos.model.journal.fold import fold_target
from fleetos.model.run import Settings, Target
from fleetos.rules.decide import decide
from fleetos.rules.needs import Context, Decision, Need, WriteEvents
from fleetos.rules.observation import Observation, ObservationSeries
from tests.support.builders import SETTINGS, START

Look = tuple[float, ServerSnapshot | None]


def moment(seconds: float, slept_s: float = 0.0) -> Moment:
    """The moment so many seconds after START, of which the machine slept `slept_s`."""
    return Moment(START + timedelta(seconds=seconds), 1000.0 + seconds, 500.0 + seconds - slept_s)


def sight(seconds: float, picture: ServerSnapshot | None, slept_s: float = 0.0) -> Observation:
    """A single read that was answered at once."""
    return Observation(picture, moment(seconds, slept_s), moment(seconds, slept_s), single=True)


def watched(*looks: Look) -> ObservationSeries:
    """The watch of these looks."""
    first, *rest = looks
    watch = ObservationSeries.start(sight(*first))
    for one in rest:
        watch = watch.add(sight(*one))
    return watch


def steady(picture: ServerSnapshot | None, until_s: float, from_s: float = 0.0, every_s: float = 30.0) -> list[Look]:
    """Looks at one picture at a beat, the last exactly at the end."""
    times: list[float] = []
    at_s = from_s
    while at_s < until_s:
        times.append(at_s)
        at_s += every_s
    return [(one, picture) for one in (*times, until_s)]


def context(looks: Iterable[Look] = (), settings: Settings = SETTINGS, **changes: object) -> Context:
    """What a rule knows right after the last look; the target came to its state at second 0."""
    shown = list(looks)
    now = moment(shown[-1][0] if shown else 0.0)
    rule_context = Context(
        now=now,
        entered_at=moment(0.0),
        settings=settings,
        settle_s=settings.settle_s,
        poll_s=30.0,
        fraction=0.0,
        run_running=True,
        run_finishing=False,
        series=watched(*shown) if shown else None,
    )
    return replace(rule_context, **changes)


def aborting(looks: Iterable[Look] = (), **changes: object) -> Context:
    """The same in a run that was aborted."""
    return replace(context(looks), run_running=False, run_finishing=True, **changes)


def after(target: Target, decision: Decision, at_s: float = 0.0) -> Target:
    """The target after the events that the decision writes."""
    assert isinstance(decision, WriteEvents), decision
    for event in decision.events:
        assert isinstance(event, TargetEvent)
        target = fold_target(target, event, moment(at_s).wall)
    return target


def decided(target: Target, rule_context: Context) -> Target:
    """The target after what is decided now; fails if nothing is."""
    return after(target, decide(target, rule_context))


def only_event(decision: Decision) -> TargetEvent:
    """The one event that the decision writes."""
    assert isinstance(decision, WriteEvents), decision
    (event,) = decision.events
    assert isinstance(event, TargetEvent)
    return event


def needs(decision: Decision) -> tuple[Need, ...]:
    """The needs that the decision tells."""
    assert not isinstance(decision, WriteEvents), decision
    return decision


def undecided(decision: Decision) -> bool:
    """Whether the rule wants to see more before it judges."""
    return not isinstance(decision, WriteEvents)


def outcome_of(decision: Decision) -> tuple[object, ...]:
    """State, reason and outcome of the attempt that the decision's one event tells."""
    event = only_event(decision)
    assert isinstance(event, Moved | AttemptEnded)
    return (event.to, event.reason, event.outcome if isinstance(event, AttemptEnded) else None)
