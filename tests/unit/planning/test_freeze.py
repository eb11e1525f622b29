"""The freeze: settings become absolute, and targets that need nothing or can get nothing end at once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleetos.errors import InputError
from fleetos.limits import SETTLE_ELSEWHERE_S, SETTLE_OTC_S, SETTLE_SIM_S
from fleetos.model.inventory import ServerSnapshot, Traits
from fleetos.model.journal.events import Enlisted, Moved, RunCreated
from fleetos.model.plan import PowerAfter, StopMode
from fleetos.model.run import Settings
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.planning.freeze import FrozenRun, History, freeze
from fleetos.planning.plan_file.digest import run_digest
from fleetos.planning.preflight.preflight import preflight
from fleetos.planning.settings import CloudFacts
from tests.support.builders import (
    DEBIAN,
    NEW_IMAGE,
    OLD_IMAGE,
    SCOPE,
    START,
    a_server,
    a_snapshot,
    an_inventory,
    server_id,
)
from tests.unit.planning.plan_folder import HEAD, PlanFolder

OTC = CloudFacts(is_otc=True)
SIM = CloudFacts(loopback=True, is_sim=True)
LOOPBACK = CloudFacts(loopback=True)
ELSEWHERE = CloudFacts()


def frozen(
    plans: PlanFolder,
    *seen: ServerSnapshot,
    more: str = "",
    facts: CloudFacts = OTC,
    history: History | None = None,
) -> FrozenRun:
    """The run of a plan of as many servers as there are pictures."""
    servers = [a_server(number, one) for number, one in enumerate(seen, 1)]
    names = ", ".join(f"{{name: {server.name}, labels: {{of: {server.name}}}}}" for server in servers)
    plan = plans.plan(f"{HEAD}servers: [{names}]\n{more}")
    checked = preflight(plan, an_inventory(reversed(servers)), (DEBIAN,), None, CloudFacts(loopback=True))
    return freeze(plan, checked, scope=SCOPE, facts=facts, run_id="r1", now=START, history=history)


def test_the_run_and_its_events(plans: PlanFolder) -> None:
    result = frozen(plans, a_snapshot(), a_snapshot("SHUTOFF", disk="disk-2"))
    run, (created, *enlisted) = result.run, result.events
    plan = plans.plan((plans.folder / "plan.yaml").read_text())
    assert created == RunCreated(run)
    assert (run.id, run.name, run.scope, run.created_at, run.state) == ("r1", "try", SCOPE, START, RunState.RUNNING)
    assert run.digest == run_digest(plan, SCOPE)
    assert run.plan_path == str(plans.folder / "plan.yaml")
    assert run.images == {"Debian": NEW_IMAGE}
    assert [type(event) for event in enlisted] == [Enlisted, Enlisted]
    first, second = result.targets
    assert (first.server_id, first.position, first.labels) == (server_id(1), 0, {"of": "web-01"})
    assert (second.position, second.disk, second.baseline.status) == (1, "disk-2", "SHUTOFF")
    assert (first.state, first.since, first.attempts_allowed) == (TargetState.WAITING, START, 2)
    assert first.order.image_id == NEW_IMAGE
    assert (result.wipes, result.spared) == (2, {})


def test_settings_say_what_the_plan_says(plans: PlanFolder) -> None:
    more = (
        "rollout: {concurrency: 3, stop: hard, force: true, power_after: as-before}\n"
        "failure: {attempts: 3, backoff: 1s, max_backoff: 2s, first: 7}\n"
        "timeouts: {stop: 1m, change: 2m, settle: 20m, start: 3m}\n"
        "polling: {min: 1s, max: 2s}\napi: {rate: 10/s, connections: 3}\n"
    )
    assert frozen(plans, a_snapshot(), more=more).run.settings == Settings(
        concurrency=3,
        stop=StopMode.HARD,
        force=True,
        power_after=PowerAfter.AS_BEFORE,
        attempts=3,
        backoff_s=1.0,
        max_backoff_s=2.0,
        stop_timeout_s=60.0,
        change_timeout_s=120.0,
        settle_s=1200.0,
        start_timeout_s=180.0,
        poll_min_s=1.0,
        poll_max_s=2.0,
        rate_per_s=10.0,
        burst=1,
        connections=3,
        loopback=False,
        failure_first=7,
    )


@pytest.mark.parametrize(("percent", "count"), [("1%", 1), ("20%", 1), ("50%", 3), ("66%", 4), ("100%", 7)])
def test_a_percentage_is_of_the_targets(plans: PlanFolder, percent: str, count: int) -> None:
    more = f"rollout: {{concurrency: {percent}}}\n"
    assert frozen(plans, *[a_snapshot()] * 7, more=more).run.settings.concurrency == count


@pytest.mark.parametrize(
    ("facts", "longest_s", "settle_s"),
    [
        (OTC, 0.0, SETTLE_OTC_S),
        (ELSEWHERE, 0.0, SETTLE_ELSEWHERE_S),
        (LOOPBACK, 0.0, SETTLE_SIM_S),
        (SIM, 0.0, SETTLE_SIM_S),
        (OTC, 400.0, 800.0),
        (OTC, 200.0, SETTLE_OTC_S),
        (OTC, 72_000.0, 3600.0),
    ],
)
def test_the_settle_time_follows_the_cloud(
    plans: PlanFolder, facts: CloudFacts, longest_s: float, settle_s: float
) -> None:
    history = History(longest_change_s=longest_s)
    assert frozen(plans, a_snapshot(), facts=facts, history=history).run.settings.settle_s == settle_s


@pytest.mark.parametrize("facts", [OTC, ELSEWHERE])
def test_a_short_settle_is_refused_where_the_cloud_is_real(plans: PlanFolder, facts: CloudFacts) -> None:
    with pytest.raises(InputError) as caught:
        frozen(plans, a_snapshot(), more="timeouts: {settle: 9m59s}\n", facts=facts)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.key) == (5, 12, "timeouts.settle")
    assert frozen(plans, a_snapshot(), more="timeouts: {settle: 10m}\n", facts=facts).run.settings.settle_s == 600


def test_a_short_settle_is_fine_on_loopback(plans: PlanFolder) -> None:
    settings = frozen(plans, a_snapshot(), more="timeouts: {settle: 1s}\n", facts=LOOPBACK).run.settings
    assert (settings.settle_s, settings.loopback) == (1.0, True)


def test_a_server_without_a_system_disk_is_held_even_on_the_image(plans: PlanFolder) -> None:
    result = frozen(plans, a_snapshot(disk=None, image=NEW_IMAGE), a_snapshot())
    assert isinstance(result.events[2], Moved)
    held, waiting = result.targets
    assert (held.state, held.reason, held.disk) == (TargetState.HELD, Reason.NO_SYSTEM_DISK, None)
    assert waiting.state is TargetState.WAITING
    assert (result.wipes, result.spared) == (1, {Reason.NO_SYSTEM_DISK: 1})
    assert result.targets_to_wipe == (waiting,)


@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF"])
def test_a_server_on_the_image_is_skipped(plans: PlanFolder, status: str) -> None:
    result = frozen(plans, a_snapshot(status, image=NEW_IMAGE))
    (target,) = result.targets
    assert (target.state, target.reason) == (TargetState.SKIPPED, Reason.ALREADY_ON_IMAGE)
    assert (result.wipes, result.spared) == (0, {Reason.ALREADY_ON_IMAGE: 1})


@pytest.mark.parametrize(
    "seen",
    [
        a_snapshot(),
        a_snapshot(image=None),
        a_snapshot(image=NEW_IMAGE, task="rebuilding"),
        a_snapshot("ERROR", image=NEW_IMAGE),
        a_snapshot("REBUILD", image=NEW_IMAGE),
        replace(a_snapshot(image=NEW_IMAGE), fault="out of hosts"),
    ],
)
def test_whatever_is_in_doubt_waits_to_be_looked_at(plans: PlanFolder, seen: ServerSnapshot) -> None:
    assert frozen(plans, seen).targets[0].state is TargetState.WAITING


@pytest.mark.parametrize(
    ("seen", "traits", "reason", "detail"),
    [
        (replace(a_snapshot(), locked=True), Traits(), Reason.LOCKED, "is locked"),
        (a_snapshot("SHELVED"), Traits(), Reason.WRONG_STATE, "is in status SHELVED"),
        (
            a_snapshot(),
            Traits(frozen=True),
            Reason.UNSUITABLE,
            "is frozen by the cloud; pay what the account owes; if it",
        ),
    ],
)
def test_a_server_that_preflight_refuses_is_held_at_once(
    plans: PlanFolder, seen: ServerSnapshot, traits: Traits, reason: Reason, detail: str
) -> None:
    plan = plans.plan(HEAD + "servers: [{name: web-01}, {name: web-02}]\n")
    servers = an_inventory([replace(a_server(1, seen), traits=traits), a_server(2)])
    checked = preflight(plan, servers, (DEBIAN,), None, LOOPBACK)
    result = freeze(plan, checked, scope=SCOPE, facts=LOOPBACK, run_id="r1", now=START)
    held, waiting = result.targets
    assert (held.state, held.reason) == (TargetState.HELD, reason)
    assert held.detail.startswith(detail)
    assert (waiting.state, result.wipes, result.spared) == (TargetState.WAITING, 1, {reason: 1})


def test_a_refused_server_that_runs_the_image_is_skipped_unless_it_is_to_be_changed(plans: PlanFolder) -> None:
    locked = replace(a_snapshot(image=NEW_IMAGE), locked=True)
    assert frozen(plans, locked).targets[0].state is TargetState.SKIPPED
    bad = History(bad_attempts=frozenset({server_id(1)}))
    assert frozen(plans, locked, history=bad).targets[0].reason is Reason.LOCKED
    assert frozen(plans, locked, more="rollout: {force: true}\n").targets[0].reason is Reason.LOCKED


def test_a_bad_attempt_or_force_takes_servers_that_run_the_image(plans: PlanFolder) -> None:
    bad = History(bad_attempts=frozenset({server_id(1)}))
    first, second = frozen(plans, a_snapshot(image=NEW_IMAGE), a_snapshot(image=NEW_IMAGE), history=bad).targets
    assert (first.state, second.state) == (TargetState.WAITING, TargetState.SKIPPED)
    forced = frozen(plans, a_snapshot(image=NEW_IMAGE), more="rollout: {force: true}\n")
    assert forced.targets[0].state is TargetState.WAITING


def test_an_unanswered_send_is_remembered(plans: PlanFolder) -> None:
    then = START - timedelta(hours=3)
    first, second = frozen(plans, a_snapshot(), a_snapshot(), history=History(unanswered={server_id(2): then})).targets
    assert (first.last_unanswered_at, second.last_unanswered_at) == (None, then)
    assert (first.remembered_at, second.remembered_at) == (None, then)


@pytest.mark.parametrize(
    ("image", "metered", "force", "state"),
    [
        (OLD_IMAGE, NEW_IMAGE, False, TargetState.SKIPPED),
        ("image-of-all", NEW_IMAGE, False, TargetState.SKIPPED),
        (NEW_IMAGE, OLD_IMAGE, False, TargetState.HELD),
        (NEW_IMAGE, "image-of-all", False, TargetState.HELD),
        ("image-of-all", OLD_IMAGE, False, TargetState.WAITING),
        (NEW_IMAGE, OLD_IMAGE, True, TargetState.WAITING),
        (OLD_IMAGE, NEW_IMAGE, True, TargetState.WAITING),
    ],
)
def test_a_server_that_shows_two_images_is_skipped_by_the_metered_one_and_never_wiped_by_it_alone(
    plans: PlanFolder, image: str, metered: str, force: bool, state: TargetState
) -> None:
    seen = replace(a_snapshot(image=image), metered=metered)
    more = f"rollout: {{force: {str(force).lower()}}}\n"
    (target, _) = frozen(plans, seen, a_snapshot(), more=more).targets
    assert target.state is state
    assert "may run the image already" in target.detail or state is not TargetState.HELD
