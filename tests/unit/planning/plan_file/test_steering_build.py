"""Keys that steer a rollout: what they mean, and what is refused."""

from pathlib import Path

import pytest

from fleetos.model.plan import USUAL_OCCASIONS, NotifyEntry, Occasion, SecretRef
from fleetos.model.steering.match import ANY_SERVER, Match
from fleetos.model.steering.rollout import (
    Approval,
    BetweenWaves,
    GroupRule,
    OfLast,
    OnExceeded,
    SteeringPlan,
    WaveEntry,
)
from fleetos.model.steering.share import Share
from fleetos.model.steering.windows import CalendarFile, CronTimes, DateTimes, Fit, Nights, WindowRule, Windows
from fleetos.planning.calendar_file import CALENDAR_MAX_BYTES
from tests.unit.planning.plan_folder import HEAD, PlanFolder

PLAN = f"{HEAD}servers: [{{name: web-01}}]\n"
CALENDAR = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nEND:VCALENDAR\n"
HALF = Share(50, percent=True)
BERLIN = "Europe/Berlin"


def steering(plans: PlanFolder, text: str, files: dict[str, str] | None = None) -> SteeringPlan:
    return plans.plan(f"{PLAN}{text}\n", files).steering


def refused(plans: PlanFolder, text: str, files: dict[str, str] | None = None) -> list[tuple[str, str]]:
    return [(problem.key, problem.text) for problem in plans.problems(f"{PLAN}{text}\n", files)]


def test_a_plan_that_says_nothing_is_not_steered(plans: PlanFolder) -> None:
    assert steering(plans, "") == SteeringPlan()
    assert SteeringPlan().written == {}


def test_bare_sizes(plans: PlanFolder) -> None:
    plan = steering(plans, "rollout: {waves: [1, 50%], between_waves: {bake: 30m}}")
    between = BetweenWaves(1800.0)
    assert plan.waves == (
        WaveEntry(None, ANY_SERVER, (Share(1),), between, index=0),
        WaveEntry(None, ANY_SERVER, (HALF,), between, repeats=True, index=1),
    )


@pytest.mark.parametrize(
    ("text", "approval"),
    [
        ("true", Approval()),
        ("false", None),
        ("{by: other, of: 2}", Approval("other", 2)),
        ("{by: [carl, ben], valid: 2h}", Approval(("ben", "carl"), valid_s=7200.0)),
    ],
)
def test_an_approval_between_waves_or_after_an_entry(plans: PlanFolder, text: str, approval: Approval | None) -> None:
    between = f"rollout: {{waves: [1, 2], between_waves: {{approval: {text}}}}}"
    after = f"rollout: {{waves: [{{sizes: [1], then: {{approval: {text}}}}}, 2]}}"
    for written in (between, after):
        assert steering(plans, written).waves[0].between == BetweenWaves(approval=approval)


def test_entries_with_a_match_and_their_own_conditions(plans: PlanFolder) -> None:
    entry = '{name: canary, match: {"label:tier": web, az: [b, a], name: "web-*"}, sizes: [1, 50%], then: THEN}'
    plan = steering(plans, f"rollout: {{waves: [{entry.replace('THEN', '{bake: 1h}')}, 3]}}")
    match = Match(az=("a", "b"), name=("web-*",), labels=(("tier", ("web",)),))
    assert plan.waves[0] == WaveEntry("canary", match, (Share(1), HALF), BetweenWaves(3600.0), index=0)
    assert plan.waves[1].repeats


def test_groups_budgets_order_and_protection(plans: PlanFolder) -> None:
    plan = steering(
        plans,
        'rollout: {waves: [1], order: [down-first, "label:x"], max_unavailable: [{per: az, value: 4%}, '
        '{per: "label:pair", value: 1}]}\n'
        "failure: {max_failed: 0, max_failed_per_wave: 2%, of_last: {failed: 3, of: 20}, on_exceeded: end}\n"
        "protect: true",
    )
    assert plan.groups == (GroupRule("az", Share(4, percent=True)), GroupRule("label:pair", Share(1)))
    assert (plan.max_failed, plan.max_failed_per_wave) == (Share(0), Share(2, percent=True))
    assert (plan.of_last, plan.on_exceeded) == (OfLast(3, 20), OnExceeded.END)
    assert (plan.order, plan.protect) == (("down-first", "label:x"), True)


def test_windows(plans: PlanFolder) -> None:
    plan = steering(
        plans,
        f"windows:\n  zone: {BERLIN}\n  fit: 45m\n  retries: wait\n  allow:\n"
        '    - {days: [mon-wed, sun], from: "22:00", to: "05:00", match: {az: a}}\n'
        '    - {name: patch day, cron: "0 22 * * 2#1", for: 6h, zone: UTC}\n'
        "    - {ics: open.ics}\n"
        "  deny:\n    - {name: year end, since: 2026-12-18, until: 2027-01-06}\n    - {ics: freezes.ics}\n",
        {"open.ics": CALENDAR, "freezes.ics": CALENDAR},
    )
    assert plan.windows == Windows(
        allow=(
            WindowRule(Nights((0, 1, 2, 6), 1320, 300), BERLIN, match=Match(az=("a",))),
            WindowRule(CronTimes("0 22 * * 2#1", 21600.0), "UTC", "patch day"),
            WindowRule(CalendarFile(str(plans.folder / "open.ics"), CALENDAR), BERLIN),
        ),
        deny=(
            WindowRule(DateTimes("2026-12-18", "2027-01-06"), BERLIN, "year end"),
            WindowRule(CalendarFile(str(plans.folder / "freezes.ics")), BERLIN),
        ),
        fit=Fit(None, 2700.0),
        retries="wait",
        zone=BERLIN,
    )


@pytest.mark.parametrize(
    ("written", "fit"), [("p50", Fit(0.5)), ("p99", Fit(0.99)), ("none", Fit(None)), ("1h", Fit(None, 3600.0))]
)
def test_fits(plans: PlanFolder, written: str, fit: Fit) -> None:
    windows = steering(plans, f"windows: {{fit: {written}}}").windows
    assert windows is not None
    assert windows.fit == fit


def test_a_span_of_days_may_go_over_the_end_of_the_week(plans: PlanFolder) -> None:
    windows = steering(plans, 'windows: {zone: UTC, allow: [{days: [sat-mon], from: "22:00", to: "23:00"}]}').windows
    assert windows is not None
    assert windows.allow is not None
    assert windows.allow[0].when == Nights((0, 5, 6), 1320, 1380)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("rollout: {waves: []}", "rollout.waves"),
        ("rollout: {waves: [0]}", "rollout.waves[0]"),
        ("rollout: {waves: [1, 0%]}", "rollout.waves[1]"),
        ("rollout: {waves: [{sizes: []}]}", "rollout.waves[0].sizes"),
        ("rollout: {waves: [{sizes: [1], match: {zone: a}}]}", "rollout.waves[0].match"),
        ("rollout: {waves: [{sizes: [1], match: {az: []}}]}", "rollout.waves[0].match"),
        ("rollout: {waves: [{sizes: [1], then: {bake: 8h, approve: true}}]}", "rollout.waves[0].then.approve"),
        ("rollout: {waves: [{sizes: [1], then: {bake: 169h}}]}", "rollout.waves[0].then.bake"),
        ("rollout: {between_waves: {approval: {by: [anna], of: 2}}}", "rollout.between_waves.approval"),
        ("rollout: {between_waves: {approval: {of: 6}}}", "rollout.between_waves.approval"),
        ("rollout: {order: [size]}", "rollout.order[0]"),
        ("rollout: {max_unavailable: [{per: rack, value: 1}]}", "rollout.max_unavailable[0].per"),
        ("rollout: {max_unavailable: [{per: az, value: 0}]}", "rollout.max_unavailable[0].value"),
        ("failure: {max_failed: -1}", "failure.max_failed"),
        ("failure: {max_failed: 101%}", "failure.max_failed"),
        ("failure: {of_last: {failed: 3, of: 3}}", "failure.of_last.failed"),
        ("failure: {of_last: {failed: 3, of: 1001}}", "failure.of_last.of"),
        ("failure: {on_exceeded: abort}", "failure.on_exceeded"),
        ("windows: {zone: Mars/Olympus}", "windows.zone"),
        ("windows: {allow: []}", "windows.allow"),
        ("windows: {fit: p42}", "windows.fit"),
        ('windows: {allow: [{days: [mon], from: "22:00", to: "05:00"}]}', "windows.allow[0].days"),
        ('windows: {zone: UTC, allow: [{days: [mon], from: "22:00", to: "22:00"}]}', "windows.allow[0].to"),
        ('windows: {zone: UTC, allow: [{days: [mon], from: "22:00"}]}', "windows.allow[0]"),
        ('windows: {zone: UTC, allow: [{days: [mond], from: "22:00", to: "05:00"}]}', "windows.allow[0].days"),
        ('windows: {zone: UTC, allow: [{days: [mon], from: "24:00", to: "05:00"}]}', "windows.allow[0].from"),
        ('windows: {zone: UTC, allow: [{cron: "@daily", for: 1h}]}', "windows.allow[0].cron"),
        ('windows: {zone: UTC, allow: [{cron: "0 0 22 * * 1", for: 1h}]}', "windows.allow[0].cron"),
        ('windows: {zone: UTC, allow: [{cron: "0 22 * * 1", for: 169h}]}', "windows.allow[0].for"),
        ("windows: {zone: UTC, deny: [{since: 2026-12-18, until: 2026-12-17}]}", "windows.deny[0].until"),
        ("windows: {zone: UTC, deny: [{since: 2026-02-30, until: 2026-12-17}]}", "windows.deny[0].since"),
        ("windows: {zone: UTC, deny: [{since: 2026-12-18, until: 2026-12-19, ics: a.ics}]}", "windows.deny[0]"),
        ("windows: {zone: UTC, deny: [{name: nothing}]}", "windows.deny[0]"),
        ("windows: {zone: UTC, deny: [{ics: none.ics}]}", "windows.deny[0].ics"),
        ("windows: {zone: UTC, deny: [{ics: bad.ics}]}", "windows.deny[0].ics"),
        ("windows: {zone: UTC, deny: [{ics: large.ics}]}", "windows.deny[0].ics"),
        ("protect: true\nfailure: {max_failed: 1}", "protect"),
        ("backup: none", "backup"),
    ],
)
def test_a_refused_key(plans: PlanFolder, text: str, key: str) -> None:
    files = {"bad.ics": "nothing", "large.ics": "a" * (CALENDAR_MAX_BYTES + 1)}
    assert [place for place, _ in refused(plans, text, files)] == [key]


def test_all_errors_are_reported_at_once(plans: PlanFolder) -> None:
    text = (
        "rollout: {waves: [0]}\nfailure: {of_last: {failed: 3, of: 2}}\n"
        'windows: {zone: Europe/Berlín, allow: [{days: [mon], from: "05:00", to: "05:00"}, {cron: x, for: 1h}]}\n'
        "protect: true"
    )
    assert {key for key, _ in refused(plans, text)} == {
        "rollout.waves[0]",
        "failure.of_last.failed",
        "windows.zone",
        "windows.allow[0].to",
        "windows.allow[1].cron",
        "protect",
    }


def test_only_written_keys_enter_the_digest(plans: PlanFolder) -> None:
    bare = plans.plan(PLAN)
    assert plans.plan(f"{PLAN}protect: false\nrollout: {{between_waves: {{bake: 1m}}}}\n").digest == bare.digest
    assert plans.plan(f"{PLAN}rollout: {{waves: [1]}}\n").digest != bare.digest
    assert plans.plan(f"{PLAN}failure: {{max_failed: 0}}\n").digest != bare.digest


def test_the_folder_of_a_calendar_and_what_is_denied_do_not_enter_the_digest(tmp_path: Path) -> None:
    text = f"{PLAN}windows: {{zone: UTC, deny: [{{ics: freezes.ics}}]}}\n"
    here, there = PlanFolder(tmp_path / "here"), PlanFolder(tmp_path / "there")
    event = "BEGIN:VEVENT\nUID:1\nDTSTART:20260101T000000Z\nEND:VEVENT\nEND:VCALENDAR"
    other = CALENDAR.replace("END:VCALENDAR", event)
    digest = here.plan(text, {"freezes.ics": CALENDAR}).digest
    assert there.plan(text, {"freezes.ics": other}).digest == digest
    allowed = text.replace("deny", "allow")
    assert here.plan(allowed, {"freezes.ics": CALENDAR}).digest != there.plan(allowed, {"freezes.ics": other}).digest


def test_a_receiver_by_reference_with_its_occasions_in_their_usual_order(plans: PlanFolder) -> None:
    text = (
        "notify: [{url: {env: HOOK}}, {url: {file: hook}, secret: {env: KEY}, on: [finished, server-failed, started]}]"
    )
    usual, chosen = plans.plan(f"{PLAN}{text}\n").notify
    assert usual == NotifyEntry(SecretRef("env", "HOOK"), USUAL_OCCASIONS)
    assert Occasion.SERVER_FAILED not in usual.on
    occasions = (Occasion.STARTED, Occasion.FINISHED, Occasion.SERVER_FAILED)
    assert chosen == NotifyEntry(SecretRef("file", "hook"), occasions, SecretRef("env", "KEY"))


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("[{url: slack://Tk9-canary/b/c}]", "notify[0].url", "{env: NAME} or {file: PATH}"),
        ("[{url: {slack://Tk9-canary/b/c: x}}]", "notify[0].url", "{env: NAME} or {file: PATH}"),
        ("[{url: {env: A}, secret: Tk9-canary}]", "notify[0].secret", "{env: NAME} or {file: PATH}"),
        ("[{url: {env: A}, on: [ended]}]", "notify[0].on[0]", "one of `started`"),
        ("[{url: {env: A}, on: []}]", "notify[0].on", "at least one entry"),
        ("[{on: [wave]}]", "notify[0].url", "the key is missing"),
        (f"[{', '.join(['{url: {env: A}}'] * 11)}]", "notify", "at most 10 entries"),
        ("{url: {env: A}}", "notify", "a list"),
    ],
)
def test_what_no_receiver_can_be(plans: PlanFolder, text: str, key: str, words: str) -> None:
    ((found, said),) = refused(plans, f"notify: {text}")
    assert found == key
    assert words in said
    assert "canary" not in str(plans.problems(f"{PLAN}notify: {text}\n"))
