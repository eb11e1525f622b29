"""Steering frozen into a run, and said in sentences."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fleetos.model.journal.codec import run_from_json, run_json
from fleetos.model.plan import Plan
from fleetos.model.run import Target
from fleetos.model.steering.rollout import Approval, BetweenWaves, Steering, Wave
from fleetos.planning.rollout import freeze_steering, steering_sentences
from tests.support.builders import a_run, a_target
from tests.unit.planning.plan_folder import HEAD, PlanFolder

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
PLAN = f"{HEAD}servers: [{{name: web-01}}]\n"
OTHERS = "somebody other than the owner of the run"
NIGHT = '{days: [mon-thu], from: "22:00", to: "05:00"}'


def plan(plans: PlanFolder, text: str) -> Plan:
    return plans.plan(f"{PLAN}{text}\n")


def fleet(number: int) -> list[Target]:
    return [a_target(index, az=f"az-{index % 2}", flavor="s3") for index in range(number)]


def problems(plan: Plan, members: list[Target]) -> list[tuple[str, str]]:
    return [(problem.key, problem.text) for problem in freeze_steering(plan, members, NOW).problems]


def test_percentages_become_numbers_and_budgets_may_be_none(plans: PlanFolder) -> None:
    text = "rollout: {waves: [1, 100%]}\nfailure: {max_failed: 2%, on_exceeded: end}"
    for members, allowed in ((40, 0), (50, 1), (600, 12)):
        frozen = freeze_steering(plan(plans, text), fleet(members), NOW).steering
        assert frozen.budgets.max_failed == allowed
        assert [wave.members for wave in frozen.waves] == [1, members - 1]


def test_a_member_in_no_allow_rule_is_refused(plans: PlanFolder) -> None:
    rule = NIGHT.replace("{", "{match: {az: az-0}, ", 1)
    written = plan(plans, f"windows: {{zone: Europe/Berlin, allow: [{rule}]}}")
    assert problems(written, fleet(3)) == [("windows.allow", "no rule allows web-0001")]


@pytest.mark.parametrize(
    ("fit", "more", "refused"),
    [
        ("8h", "", False),
        ("8h1m", "", True),
        ("9h", ', {days: [tue], from: "05:00", to: "07:00"}', False),
        ("p95", "", False),
    ],
)
def test_a_fit_longer_than_every_window_is_refused(plans: PlanFolder, fit: str, more: str, refused: bool) -> None:
    """The night in which clocks are set back has eight hours."""
    sunday = NIGHT.replace("mon-thu", "mon-sun")
    written = plan(plans, f"windows: {{zone: Europe/Berlin, fit: {fit}, allow: [{sunday}{more}]}}")
    assert [key for key, _ in problems(written, fleet(2))] == (["windows.fit"] if refused else [])


def test_all_problems_of_waves_and_windows_come_at_once(plans: PlanFolder) -> None:
    text = f"rollout: {{waves: [{{sizes: [1]}}]}}\nwindows: {{zone: UTC, fit: 8h, allow: [{NIGHT}]}}"
    assert [key for key, _ in problems(plan(plans, text), fleet(3))] == ["rollout.waves", "windows.fit"]


def test_a_run_keeps_its_steering(plans: PlanFolder) -> None:
    text = (
        "rollout: {waves: [{name: a, sizes: [1, 100%], then: {bake: 1h}}], "
        "max_unavailable: [{per: az, value: 4%}]}\nfailure: {max_failed: 2, of_last: {failed: 3, of: 20}}\n"
        f"windows:\n  zone: UTC\n  allow: [{NIGHT}, {{cron: 0 22 * * 2#1, for: 6h}}]\n"
        "  deny: [{since: 2026-12-18, until: 2027-01-06}, {ics: a.ics}]"
    )
    plans.write("a.ics", "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nEND:VCALENDAR\n")
    frozen = freeze_steering(plan(plans, text), fleet(5), NOW).steering
    run = a_run(steering=replace(frozen, not_before=NOW))
    assert run_from_json(run_json(run)) == run


def test_the_steering_in_sentences(plans: PlanFolder) -> None:
    text = (
        "rollout: {waves: [{name: canary, sizes: [1], then: {bake: 30m}}, 100%], "
        "max_unavailable: [{per: all, value: 5%}, {per: az, value: 2}]}\n"
        "failure: {max_failed: 2, of_last: {failed: 3, of: 20}}\n"
        f"windows: {{zone: Europe/Berlin, allow: [{NIGHT}], deny: [{{name: year end, since: 2026-12-18, "
        "until: 2027-01-06}]}"
    )
    frozen = freeze_steering(plan(plans, text), fleet(40), NOW)
    assert list(steering_sentences(frozen.steering, frozen.waves.members, 20)) == [
        "wave 1 (canary): 1 server, then watched for 30m",
        "wave 2: 39 servers",
        "wave 1 has no s3 in az-1 on image-old, of which there are 20",
        "of all servers at most 5% are out at once, but always 1",
        "of the servers of an availability zone at most 2 are out at once",
        "stops when more than 2 of 40 failed; 20 in flight may follow",
        "stops when more than 3 of the last 20 that ended failed; 20 in flight may follow",
        "stops when more than 0 of 1 of wave 1 failed; 1 in flight may follow",
        "stops when more than 1 of 39 of wave 2 failed; 20 in flight may follow",
        "allowed: Mon, Tue, Wed, Thu 22:00 to 05:00 Europe/Berlin",
        "denied: year end: 2026-12-18 to 2027-01-06 Europe/Berlin",
        "starts only what 95% of changes end in time for",
        "a server that a failed change left broken gets its next attempt outside of the windows too",
    ]


def test_a_budget_that_its_wave_cannot_exceed_is_not_said() -> None:
    waves = (Wave(1, None, 1, BetweenWaves(), max_failed=2), Wave(2, None, 9, BetweenWaves(), max_failed=2))
    said = [words for words in steering_sentences(Steering(waves=waves), (), 20) if "failed" in words]
    assert said == ["stops when more than 2 of 9 of wave 2 failed; 9 in flight may follow"]


def test_an_approval_is_said_with_those_who_may_give_it() -> None:
    approved = BetweenWaves(1800.0, Approval("other"))
    steering = Steering(waves=(Wave(1, None, 1, approved), Wave(2, None, 2, BetweenWaves())))
    said = f"wave 1: 1 server, then watched for 30m, then an approval by {OTHERS}, which holds for 24h"
    assert next(steering_sentences(steering, (), 20)) == f"{said} (fleetos approve RUN --wave 2)"
    two = BetweenWaves(approval=Approval(("ben", "carl", "dora"), 2))
    steering = Steering(waves=(Wave(1, None, 1, two), Wave(2, None, 2, BetweenWaves())))
    said = "wave 1: 1 server, then 2 approvals by ben or carl or dora, which hold for 24h"
    assert next(steering_sentences(steering, (), 20)) == f"{said} (fleetos approve RUN --wave 2)"


def test_a_plan_without_steering_says_nothing(plans: PlanFolder) -> None:
    frozen = freeze_steering(plan(plans, ""), fleet(3), NOW)
    assert list(steering_sentences(frozen.steering, frozen.waves.members, 20)) == []
