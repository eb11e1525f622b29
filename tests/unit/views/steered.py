"""Runs with waves, windows and groups, for the views that show them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from fleetos.model.run import Target
from fleetos.model.steering.rollout import BetweenWaves, Budgets, GroupRule, Steering, Wave
from fleetos.model.steering.share import Share
from fleetos.model.steering.times import Times
from fleetos.model.steering.windows import Windows
from fleetos.rules.admission.journal_facts import rollout_of, standing_of
from fleetos.rules.admission.pass_facts import RolloutFacts
from fleetos.rules.windows import OPEN, Window
from fleetos.views.text.run_condition import Driver
from tests.support.builders import START
from tests.unit.views.run_history import RunHistory, target, web_tier_run

HOUR = timedelta(hours=1)
ALIVE = Driver("process 8514 of root on vm", 8514, START, "alive")
TWO_WAVES = (Wave(1, "canary", 1, BetweenWaves(bake_s=3600), 0), Wave(2, None, 3, BetweenWaves(), 0))
CLOSED = Window(Times.of([(START + 5 * HOUR, START + 9 * HOUR)]))


def members(*waves: int) -> list[Target]:
    """Targets of these waves."""
    return [replace(target(number), wave=wave, az="eu-de-01") for number, wave in enumerate(waves)]


def steered(steering: Steering, targets: Sequence[Target]) -> RunHistory:
    """A run with that steering, which has begun."""
    history = RunHistory(targets, web_tier_run(steering=steering))
    history.begin()
    return history


def facts(history: RunHistory, window: Window = OPEN, now: datetime | None = None) -> RolloutFacts:
    """The facts about its rollout."""
    return rollout_of(history.progress, standing_of(history.progress, now or history.now, (window,)))


EVERYTHING = Steering(
    waves=TWO_WAVES,
    groups=(GroupRule("az", Share(1)),),
    budgets=Budgets(max_failed=2),
    windows=Windows(zone="Europe/Berlin"),
)
"""Two waves, windows, a budget and a group."""
