"""A message fits a screen and a webhook, whatever names are in it, and says what to do."""

import json
from dataclasses import replace

from fleetos.model.journal.events import RunMoved
from fleetos.model.plan import Occasion
from fleetos.model.states import Reason, RunState, TargetState
from fleetos.notify.message import BODY_MAX_BYTES, TEXT_MAX_CHARS, compose
from fleetos.notify.occasions import Notice, NoticeFinder
from tests.unit.views.run_history import RunHistory, target


def test_a_pause_says_what_happened_where_how_many_and_what_goes_on() -> None:
    history = RunHistory.of(2)
    finder = NoticeFinder(history.progress)
    notices = finder.find(history.progress, history.happen(RunMoved(RunState.PAUSED, Reason.OPERATOR, "busy", "anna")))
    message = compose(notices, history.progress, 1)
    lines = message.text.split("\n")
    assert message.title == f"web-tier-debian-12: {lines[0]}"
    assert "busy" in lines[0]
    assert "cloud otc-prod, region eu-de, project 0a1b" in lines
    assert "2 servers: 2 waiting" in lines
    assert lines[-1] == 'next: fleetos resume 2b7c0m1x4q --reason "..."'
    document = json.loads(message.body)
    assert (document["type"], document["data"]["counts"]) == ("fleetos.run.paused", {"waiting": 2})
    assert document["data"]["text"] == message.text


def test_several_servers_are_one_message() -> None:
    history = RunHistory([target(number) for number in range(15)])
    notices = [
        Notice(Occasion.SERVER_FAILED, f"web-{number}", history.now, f"web-{number} failed") for number in range(15)
    ]
    message = compose(notices, history.progress, 1)
    assert message.title == "web-tier-debian-12: 15 servers failed"
    assert "web-9 failed\nand 5 more\n" in message.text
    assert "next: fleetos status 2b7c0m1x4q" in message.text


def test_the_id_is_the_same_for_the_same_notice_alone() -> None:
    history = RunHistory.of(1)
    notice = Notice(Occasion.WAVE, "wave 1 opened", history.now, "opened")
    first = compose([notice], history.progress, 1).id
    history.submit(0)
    assert compose([notice], history.progress, 1).id == first
    others = [
        compose([notice], history.progress, 2).id,
        compose([replace(notice, subject="wave 2 opened")], history.progress, 1).id,
        compose([replace(notice, about=history.wait(1).now)], history.progress, 1).id,
    ]
    assert len({first, *others}) == 4


def test_long_names_of_wide_letters_make_no_long_message() -> None:
    history = RunHistory([target(number, "\U00020000\u0301" * 120) for number in range(40)])
    finder = NoticeFinder(history.progress)
    notices: list[Notice] = []
    for number in range(40):
        history.submit(number)
        notices += finder.find(history.progress, history.fail(number, TargetState.FAILED))
    history.happen(RunMoved(RunState.PAUSED, Reason.BUDGET, "\u20ac" * 4_000))
    failed = [notice for notice in notices if notice.occasion is Occasion.SERVER_FAILED]
    message = compose(failed, history.progress, 1)
    assert len(message.text) <= TEXT_MAX_CHARS
    assert "next: fleetos resume" in message.text
    assert "\n" not in message.title
    assert len(message.body) <= BODY_MAX_BYTES
    assert json.loads(message.body)["data"]["notices"] == 40
