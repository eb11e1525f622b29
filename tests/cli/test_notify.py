"""People are notified of a real run by a real web server and a real mail server, and the run never waits for them."""

import base64
import json
import signal
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.runner import SharedCloudRunner
from tests.support.commands import until
from tests.support.receivers import MailReceiver, WebReceiver, ids, mail_receiver, silent_port, verify, web_receiver
from tests.support.secrets import leaks

KEY = b"Sk7-canary-4411-of-24-bytes"
WHSEC = "whsec_" + base64.b64encode(KEY).decode()
PATH = "/hooks/Tk9-canary-2718"
MAIL_PASSWORD = "Mp4canary5582"
TWO_WAVES = "waves: [1, 100%]"


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    with web_receiver() as receiver:
        yield receiver


@pytest.fixture
def mail() -> Iterator[MailReceiver]:
    with mail_receiver() as receiver:
        yield receiver


def notifying_plan(runner: SharedCloudRunner, names: Sequence[str], *entries: str, rollout: str = "") -> str:
    """The path of a plan with these receivers."""
    path = Path(runner.write_plan(names, rollout=f"  {rollout}" if rollout else ""))
    notify = "".join(f"  - {entry}\n" for entry in entries)
    path.write_text(f"{path.read_text('utf-8')}\nnotify:\n{notify}", "utf-8")
    return str(path)


def notified(runner: SharedCloudRunner) -> list[Mapping[str, Any]]:
    """The events of notifications in the newest run."""
    done = runner.invoke("events", "-o", "json")
    assert done.returncode == 0, done.stderr
    return [event for event in json.loads(done.stdout)["events"] if event["type"] == "run.notified"]


def test_a_webhook_is_told_of_each_occasion_and_can_prove_who_sent_it(
    runner: SharedCloudRunner, web: WebReceiver
) -> None:
    web.answers[:] = [500, 500]
    plan = notifying_plan(runner, runner.take(2), "{url: {env: HOOK}, secret: {env: HOOK_KEY}}", rollout=TWO_WAVES)
    runner.env |= {"HOOK": web.url(PATH), "HOOK_KEY": WHSEC}
    done = runner.fleetos("apply", plan, "--yes")
    assert done.returncode == 0, done.stderr
    for posted in web.posted:
        verify(posted, KEY)
        assert posted.path == PATH
    assert len(set(ids(web.posted[:3]))) == 1
    assert web.occasions() == ["started", "started", "started", *["wave"] * 4, "finished"]
    events = notified(runner)
    assert [event["outcome"] for event in events] == ["sent"] * 6
    assert events[0]["tries"] == 3
    assert {event["service"] for event in events} == {"http 127.0.0.1"}
    assert "next:" not in web.posted[-1].document["data"]["text"]
    assert web.posted[-1].document["data"]["counts"] == {"done": 2}
    assert runner.invoke("db", "check").returncode == 0


@pytest.mark.slow
def test_a_receiver_that_hangs_or_refuses_does_not_hold_the_run_up(runner: SharedCloudRunner) -> None:
    names = runner.take(1)
    with (
        web_receiver(*[0] * 20) as hanging,
        web_receiver(404) as refusing,
        web_receiver(307) as redirecting,
        silent_port() as silent,
    ):
        plan = notifying_plan(
            runner, names, *(f"{{url: {{env: {name}}}, on: [started, finished]}}" for name in ("H", "N", "R", "S"))
        )
        runner.env |= {"H": hanging.url("/"), "N": refusing.url("/"), "R": redirecting.url("/")}
        runner.env["S"] = f"mailto://127.0.0.1:{silent}/?from=fleet@example.org&to=anna@example.org&mode=insecure"
        # An interpreter of its own, since one that ends waits for some kinds of threads.
        done = runner.fleetos("apply", plan, "--yes", timeout_s=40, PYTHONHASHSEED="0")
    assert done.returncode == 0, done.stderr
    assert runner.changes(names) == dict.fromkeys(names, 1)
    assert redirecting.occasions() == ["started", "finished"]
    assert {posted.path for posted in redirecting.posted} == {"/"}
    by_entry = {(event["entry"], event["occasion"]): (event["outcome"], event["tries"]) for event in notified(runner)}
    assert by_entry[2, "started"] == by_entry[3, "started"] == ("failed", 1)
    assert by_entry[2, "finished"] == by_entry[3, "finished"] == ("sent", 1)
    assert {outcome for (entry, _), (outcome, _) in by_entry.items() if entry in (1, 4)} == {"failed"}
    assert "notify 2 (http 127.0.0.1), started: not sent: HTTP 404" in done.stdout + done.stderr


@pytest.mark.slow
def test_a_mail_says_what_happened_and_what_to_do(runner: SharedCloudRunner, mail: MailReceiver) -> None:
    plan = notifying_plan(runner, runner.take(1), "{url: {file: mail.url}, on: [started, finished]}")
    address = (
        f"mailto://ops:{MAIL_PASSWORD}@127.0.0.1:{mail.port}/anna@example.org?from=fleet@example.org&mode=insecure"
    )
    (runner.folder / "mail.url").write_text(f"{address}\n", "utf-8")
    shown = runner.fleetos("plan", plan)
    assert "notifies 1 (mailto) when the run starts or the run has ended" in shown.stdout
    done = runner.fleetos("apply", plan, "--yes")
    assert done.returncode == 0, done.stderr
    assert [event["outcome"] for event in notified(runner)] == ["sent", "sent"], done.stderr
    assert mail.logins == [MAIL_PASSWORD.encode()] * 2
    started, finished = mail.mails
    assert started["subject"] == "a-test-rollout: the run has started, to wipe 1 system disk"
    assert finished["subject"] == "a-test-rollout: the run is done"
    assert finished["to"] == "anna@example.org"
    body = finished.get_body(("plain",))
    assert body is not None
    assert "1 server: 1 done" in body.get_content()


@pytest.mark.slow
def test_what_a_killed_driver_owes_is_sent_by_the_next_one_and_nothing_twice(runner: SharedCloudRunner) -> None:
    with web_receiver(204, 0) as web:
        plan = notifying_plan(
            runner, runner.take(3), "{url: {env: HOOK}, on: [started, wave, finished]}", rollout=TWO_WAVES
        )
        began = runner.begin("apply", plan, "--yes", HOOK=web.url("/"))
        began.until("run.wave-finished")
        until(lambda: len(web.posted) == 2)
        began.kill()
        assert web.occasions() == ["started", "wave"]
        done = runner.fleetos("resume", began.run_id, HOOK=web.url("/"))
        assert done.returncode == 0, done.stderr
    assert web.occasions() == ["started", "wave", *["wave"] * 4, "finished"]
    assert ids(web.posted)[1] == ids(web.posted)[2]
    assert [one["subject"] for one in notified(runner) if one["occasion"] == "wave"] == [
        "wave 1 opened",
        "wave 1 finished",
        "wave 2 opened",
        "wave 2 finished",
    ]


@pytest.mark.slow
def test_the_end_of_a_run_is_told_by_resume_if_its_driver_was_killed_just_then(runner: SharedCloudRunner) -> None:
    names = runner.take(1)
    with web_receiver(0) as web:
        plan = notifying_plan(runner, names, "{url: {env: HOOK}, on: [finished]}")
        began = runner.begin("apply", plan, "--yes", HOOK=web.url("/"))
        began.until("run.done")
        until(lambda: len(web.posted) == 1)
        began.kill()
        for _ in range(2):
            done = runner.fleetos("resume", began.run_id, HOOK=web.url("/"))
            assert done.returncode == 0, done.stderr
    assert web.occasions() == ["finished", "finished"]
    assert len(set(ids(web.posted))) == 1
    assert [event["outcome"] for event in notified(runner)] == ["sent"]
    assert runner.changes(names) == dict.fromkeys(names, 1)


@pytest.mark.slow
def test_a_pause_tells_why_and_what_to_do(runner: SharedCloudRunner, web: WebReceiver) -> None:
    plan = notifying_plan(
        runner,
        runner.take(2),
        "{url: {env: HOOK}, on: [paused, approval]}",
        rollout="waves: [1, 1]\n  between_waves: {approval: {by: other}}",
    )
    began = runner.begin("apply", plan, "--yes", HOOK=web.url("/"))
    began.until("run.wave-finished")
    until(lambda: web.occasions() == ["approval"])
    text = web.posted[0].document["data"]["text"]
    assert "wave 2 waits for an approval by somebody other than" in text
    assert f"fleetos approve {began.run_id} --wave 2" in text
    paused = runner.fleetos("pause", began.run_id, "--reason", "the fleet is in use")
    assert paused.returncode == 0, paused.stderr
    assert began.end().returncode == 20
    assert web.occasions() == ["approval", "paused"]
    text = web.posted[1].document["data"]["text"]
    assert "the fleet is in use" in text
    assert f"next: fleetos resume {began.run_id} --reason" in text


@pytest.mark.slow
def test_a_missing_url_is_an_error_before_and_a_warning_later(runner: SharedCloudRunner, web: WebReceiver) -> None:
    names = runner.take(1)
    plan = notifying_plan(runner, names, "{url: {env: HOOK}}")
    for words in (("validate", plan), ("plan", plan), ("apply", plan, "--yes")):
        refused = runner.fleetos(*words)
        assert refused.returncode == 65
        assert "notify[0].url: expected a URL of notifications in the environment variable HOOK" in refused.stderr
    began = runner.begin("apply", plan, "--yes", HOOK=web.url("/"))
    began.until("target.stopping")
    began.kill()
    done = runner.fleetos("resume", began.run_id)
    assert done.returncode == 0, done.stderr
    assert "warning: nobody is notified by entry 1 of `notify`" in done.stderr
    assert runner.changes(names) == dict.fromkeys(names, 1)


@pytest.mark.slow
def test_an_interrupt_does_not_wait_for_a_receiver(runner: SharedCloudRunner) -> None:
    with web_receiver(*[0] * 20) as web:
        plan = notifying_plan(runner, runner.take(1), "{url: {env: HOOK}}")
        began = runner.begin("apply", plan, "--yes", HOOK=web.url("/"))
        began.until("target.changing")
        began.process.send_signal(signal.SIGTERM)
        done = began.process.wait(timeout=8)
    assert done == 143


@pytest.mark.slow
def test_no_secret_of_a_receiver_is_shown_or_stored(runner: SharedCloudRunner, web: WebReceiver) -> None:
    secrets = {"path": PATH, "key": WHSEC, "key bytes": KEY.decode(), "mail password": MAIL_PASSWORD}
    plan = notifying_plan(
        runner,
        runner.take(1),
        "{url: {env: HOOK}, secret: {env: HOOK_KEY}, on: [started, finished]}",
        "{url: {env: NOBODY}, on: [started]}",
        "{url: {env: MAIL}, on: [started]}",
    )
    runner.env |= {
        "HOOK": web.url(PATH),
        "HOOK_KEY": WHSEC,
        "NOBODY": f"http://127.0.0.1:1{PATH}",
        "MAIL": f"mailto://ops:{MAIL_PASSWORD}@127.0.0.1:1/anna@example.org?from=fleet@example.org",
        "FLEETOS_LOG": "log.jsonl",
    }
    done = [
        runner.fleetos("plan", plan, "-o", "json"),
        runner.fleetos("-v", "apply", plan, "--yes"),
        runner.fleetos("events", "-o", "json"),
        runner.fleetos("status", "-o", "json"),
        runner.fleetos("validate", plan, HOOK=f"http://example.org{PATH}"),
        runner.fleetos("validate", plan, MAIL=f"nonsense://{MAIL_PASSWORD}"),
    ]
    assert [one.returncode for one in done] == [0, 0, 0, 0, 65, 65], [one.stderr for one in done]
    with sqlite3.connect(runner.database) as connection:
        stored = "\n".join(connection.iterdump())
    assert "run-notified" in stored
    files = [file.read_bytes() for file in runner.folder.rglob("*") if file.is_file()]
    texts = [text for one in done for text in (one.stdout, one.stderr)]
    assert not leaks([*texts, stored, *files], secrets)
