"""Message that tells people of notices: a title, a screen of text, and a document for programs. Pure."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from fleetos.model.plan import Occasion
from fleetos.model.progress import Progress
from fleetos.model.states import RUN_ENDS, RunState
from fleetos.notify.occasions import Notice
from fleetos.text import counted
from fleetos.views.terminal.summary import counts_line, next_commands, report
from fleetos.views.text.format import clip, printable, timestamp
from fleetos.views.text.run_condition import where_words

# A screen of text.
TEXT_MAX_CHARS = 2_800
BODY_MAX_BYTES = 16 * 1024
_TITLE_CHARS, _SUBJECT_CHARS = 120, 64
_LINES_MAX, _NOTICES_NAMED, _SERVERS_NAMED = 36, 10, 5
# Notices about single servers of which one message tells several.
GATHERED = frozenset({Occasion.OVERDUE, Occasion.SERVER_FAILED})


@dataclass(frozen=True, slots=True)
class Message:
    """Message to one receiver. `id` is the same when another process sends it again."""

    id: str
    title: str
    text: str
    body: bytes
    """JSON for a webhook, at most BODY_MAX_BYTES."""


def compose(notices: Sequence[Notice], progress: Progress, number: int) -> Message:
    """Return the message about notices of one occasion to the receiver of that number."""
    run, first = progress.run, notices[0]
    headline = first.what if len(notices) == 1 else _many_words(first.occasion, len(notices))
    title = clip(printable(f"{run.name}: {headline}"), _TITLE_CHARS)
    text = _cut("\n".join(_lines(notices, progress)))
    document = {
        "type": f"fleetos.run.{first.occasion}",
        "timestamp": timestamp(first.about),
        "data": {
            "run": run.id,
            "name": run.name,
            "state": run.state.value,
            "occasion": first.occasion.value,
            "notices": len(notices),
            "counts": {state.value: count for state, count in progress.counts.items() if count},
            "title": title,
        },
    }
    subjects = [clip(notice.subject, _SUBJECT_CHARS) for notice in notices[:_NOTICES_NAMED] if notice.subject]
    body = _json(document, {"subjects": subjects, "text": text})
    # Letters of several bytes may make it longer than a receiver has to take.
    body = body if len(body) <= BODY_MAX_BYTES else _json(document, {"subjects": [], "text": text[:_TITLE_CHARS]})
    return Message(_message_id(run.id, number, first), title, text, body)


def _json(document: dict[str, Any], more: dict[str, Any]) -> bytes:
    content = {**document, "data": {**document["data"], **more}}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _many_words(occasion: Occasion, number: int) -> str:
    return f"{counted(number, 'change')} overdue" if occasion is Occasion.OVERDUE else f"{number:,} servers failed"


def _lines(notices: Sequence[Notice], progress: Progress) -> Iterator[str]:
    """Yield what happened, where, how many, and what goes on."""
    run = progress.run
    yield from (printable(notice.what) for notice in notices[:_NOTICES_NAMED])
    if len(notices) > _NOTICES_NAMED:
        yield f"and {len(notices) - _NOTICES_NAMED:,} more"
    yield ""
    yield f"run {printable(run.id)}, at {timestamp(notices[0].about)}"
    yield where_words(run.scope)
    yield counts_line(progress).plain
    rests = run.state is RunState.PAUSED or run.state in RUN_ENDS
    if rests:
        yield from islice((line.plain for line in report(progress, _SERVERS_NAMED)), _LINES_MAX)
    commands = next_commands(progress) if rests else (f"fleetos status {printable(run.id)}",)
    yield from (f"next: {command}" for command in commands)


def _cut(text: str) -> str:
    """Return the text, cut in its middle if it is too long: its end says what to do next."""
    if len(text) <= TEXT_MAX_CHARS:
        return text
    half = (TEXT_MAX_CHARS - 7) // 2
    return f"{text[:half]}\n[...]\n{text[-half:]}"


def _message_id(run_id: str, number: int, notice: Notice) -> str:
    parts = (run_id, str(number), notice.occasion, notice.subject, notice.about.isoformat())
    return f"msg_{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}"
