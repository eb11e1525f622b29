"""Receivers are checked all at once, and the notifier of a run takes those that this environment has."""

from pathlib import Path

import pytest

from fleetos.app.context import AppContext
from fleetos.app.notifications import check_receivers, open_notifier
from fleetos.model.plan import NotifyEntry, SecretRef
from tests.unit.notify.test_notifier import Journal
from tests.unit.planning.plan_folder import HEAD, PlanFolder
from tests.unit.views.run_history import RunHistory, target, web_tier_run

PLAN = f"""{HEAD}servers: [{{name: web-01}}]
notify:
  - url: {{env: HOOK}}
  - {{url: {{file: hook}}, secret: {{env: KEY}}}}
  - url: {{env: NOBODY}}
"""


def test_every_receiver_is_checked_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "http://hooks.example/canary")
    plan = PlanFolder(tmp_path).plan(PLAN, {"hook": "https://hooks.example/canary\n"})
    checked = check_receivers(plan)
    assert checked.services == ()
    assert [(problem.line, problem.key) for problem in checked.problems] == [
        (6, "notify[0].url"),
        (7, "notify[1].secret"),
        (8, "notify[2].url"),
    ]
    monkeypatch.setenv("HOOK", "https://hooks.example/canary")
    monkeypatch.setenv("KEY", "whsec_Y2FuYXJ5")
    monkeypatch.setenv("NOBODY", "mailto://127.0.0.1/?from=a@example.org&to=b@example.org")
    checked = check_receivers(plan)
    assert checked.services == ("https hooks.example", "https hooks.example", "mailto")
    assert not checked.problems


async def test_a_receiver_that_is_missing_later_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "https://hooks.example/canary")
    entries = tuple(NotifyEntry(SecretRef("env", name)) for name in ("HOOK", "NOBODY"))
    history = RunHistory([target(0)], web_tier_run(notify=entries))
    said: list[str] = []
    notifier = open_notifier(AppContext(None, said.append), history.progress, Journal(), lambda _, __: None)
    assert [outbox.destination.number for outbox in notifier._outboxes] == [1]
    (warning,) = said
    assert warning.startswith("warning: nobody is notified by entry 2 of `notify`: expected a URL of notifications")
    assert warning.endswith("in the environment variable NOBODY, which is not set (export it)")
