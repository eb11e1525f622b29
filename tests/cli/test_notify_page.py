"""The page about notifications is true: its plan loads, its words are those of the format, its lines verify."""

import base64
import hashlib
import hmac
import re
from pathlib import Path

import pytest

from fleetos.model.plan import USUAL_OCCASIONS, Occasion
from fleetos.notify import apprise_services
from fleetos.notify.message import BODY_MAX_BYTES
from fleetos.notify.notifier import DRAIN_S, FIRST_WAIT_S, SERVICE_TRY_S, TRIES
from fleetos.notify.webhook import TRY_S, sign
from fleetos.planning.plan_file.load import load_plan
from tests.cli.test_pages import ALL, options
from tests.test_readme import blocks, calls

PAGE = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text(encoding="utf-8")

WAITS = [f"{FIRST_WAIT_S * 2**number:.0f}" for number in range(TRIES - 1)]


def test_the_plan_of_the_page_loads(tmp_path: Path) -> None:
    (text,) = blocks(PAGE, "yaml")
    (tmp_path / "plan.yaml").write_text(text, "utf-8")
    usual, chosen = load_plan(tmp_path / "plan.yaml").notify
    assert (usual.on, usual.secret) == (USUAL_OCCASIONS, None)
    assert Occasion.SERVER_FAILED in chosen.on
    assert chosen.secret is not None


def test_the_page_has_every_occasion() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE) == ["on", *(occasion.value for occasion in Occasion)]


def test_the_urls_of_the_page_are_understood() -> None:
    urls = re.findall(r"^\| [^|]+ \| `([a-z]+://[^`]+)` \|$", PAGE, re.MULTILINE)
    assert len(urls) == 3
    slack = urls.pop(1)
    assert slack.startswith("slack://")
    urls.append("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#channel")
    assert [url for url in urls if not apprise_services.understands(url)] == []


def test_the_lines_of_the_page_verify_a_request() -> None:
    (lines,) = blocks(PAGE, "python")
    names = {"base64": base64, "hashlib": hashlib, "hmac": hmac}
    given = {"webhook_id": "msg_1", "webhook_timestamp": "1614265330", "body": b"{}", "key": b"any text"}
    shown: dict[str, object] = {**names, **given}
    exec(compile(lines, "page", "exec"), shown)
    assert shown["wanted"] == sign(b"any text", "msg_1", 1614265330, b"{}")


@pytest.mark.parametrize(
    "words",
    [
        f"at most {BODY_MAX_BYTES // 1024} KiB of JSON",
        f"tried five times, {', '.join(WAITS[:-1])} and {WAITS[-1]} seconds apart",
        f"a webhook has {TRY_S:.0f} seconds for its answer, a service {SERVICE_TRY_S:.0f}",
        f"waits for up to {DRAIN_S:.0f} seconds",
    ],
)
def test_the_page_names_the_bounds(words: str) -> None:
    assert words in " ".join(PAGE.split())


def test_the_page_calls_only_what_is_there() -> None:
    for words, used in calls(PAGE):
        assert set(used) <= options(ALL[f"fleetos {words[0]}"]), (words, used)
