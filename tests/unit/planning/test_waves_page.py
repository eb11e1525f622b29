"""The page about waves is true: its plans load, and it says what `plan` says of them."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from fleetos.planning.rollout import freeze_steering, steering_sentences
from tests.support.builders import a_target
from tests.unit.planning.plan_folder import HEAD, PlanFolder

PAGE = (Path(__file__).parents[3] / "docs" / "waves.md").read_text(encoding="utf-8")
WHOLE, ENTRIES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(SENTENCES,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def sentences(plans: PlanFolder, text: str, tiers: dict[str, int]) -> list[str]:
    """Return what `plan` says of a fleet with so many servers of each tier."""
    plan = plans.plan(text)
    members = [
        replace(a_target(number), labels={"tier": tier})
        for number, tier in enumerate((tier for tier, count in tiers.items() for _ in range(count)), 1)
    ]
    frozen = freeze_steering(plan, members, NOW)
    assert frozen.problems == ()
    return list(steering_sentences(frozen.steering, frozen.waves.members, 10))


def test_the_page_says_what_the_plan_says_of_forty_servers(plans: PlanFolder) -> None:
    assert sentences(plans, WHOLE, {"web": 40}) == SENTENCES.splitlines()


def test_the_entries_give_each_tier_waves_of_its_own(plans: PlanFolder) -> None:
    said = sentences(plans, f"{HEAD}servers: [{{name: web-1}}]\n{ENTRIES}", {"web": 40, "db": 4})
    waves = [sentence.partition(":")[0] for sentence in said if sentence.startswith("wave")]
    names = ["canary", "canary", "web", "web", "db", "db"]
    assert waves == [f"wave {number} ({name})" for number, name in enumerate(names, 1)]
