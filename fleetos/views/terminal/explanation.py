"""Text of `explain`: why one server does not move, what ends that, and what it has gone through."""

from collections.abc import Iterator, Sequence
from datetime import tzinfo

from rich.text import Text

from fleetos.model.journal.events import Record
from fleetos.model.run import Attempt, Target
from fleetos.model.states import TargetState
from fleetos.model.steering.times import is_ever
from fleetos.rules.admission.pass_facts import RolloutFacts, Standing
from fleetos.rules.windows import sum_up
from fleetos.text import counted
from fleetos.views.documents.run import outcome_of
from fleetos.views.terminal.frame import STYLES
from fleetos.views.terminal.tables import event_text
from fleetos.views.text.explanation import FATE_WORDS, DiskFate, Explanation, Stands, moment_words
from fleetos.views.text.format import clock_time, printable, short_duration
from fleetos.views.text.rollout_words import open_words, wave_words
from fleetos.views.text.server_names import server_name_and_id
from fleetos.views.text.wrap import wrap_lines

_LABEL = 10
_NEXT = {Stands.WAITS: "ends when", Stands.MOVES: "limit", Stands.ENDED: "to do"}


def explanation_text(
    facts: RolloutFacts,
    target: Target,
    explained: Explanation,
    records: Sequence[Record],
    zone: tzinfo | None,
    width: int | None,
) -> Text:
    """Return the explanation of a target, with its last records. `zone`: that of the plan's windows."""
    standing = facts.standing
    reason, place = _reason_rows(standing, target, explained, zone), _place_rows(facts, target, zone)
    rows = [*reason, *place, *_past_rows(target, explained)]
    lines = [_title(standing, target), *(Text(f"  {label:<{_LABEL}}{printable(words)}") for label, words in rows)]
    names = {target.server_id: target.name}
    events = [event_text(record, standing.run.id, names, width) for record in records]
    return Text("\n", no_wrap=True).join([*wrap_lines(lines, width), *([Text("")] if events else []), *events])


def _title(standing: Standing, target: Target) -> Text:
    run = standing.run
    text = Text(f"{server_name_and_id(target)} in {printable(run.name)} {printable(run.id)}: ", "bold")
    text.append(str(target.state), STYLES.get(target.state, "bold"))
    if target.since is None:
        return text
    ago = short_duration((standing.now - target.since).total_seconds())
    return text.append(f" since {clock_time(target.since, standing.now)} ({ago} ago)")


def _reason_rows(
    standing: Standing, target: Target, explained: Explanation, zone: tzinfo | None
) -> Iterator[tuple[str, str]]:
    reason = explained.waiting.reason if explained.waiting else target.reason
    yield "why", f"{reason}: {explained.words}" if reason is not None else explained.words
    if explained.usual_s is not None:
        yield "usually", f"takes {short_duration(explained.usual_s)}"
    when = ""
    if explained.ends_at is not None:
        local = None if zone is None else explained.ends_at.astimezone(zone)
        when = moment_words(explained.ends_at, standing.now, local)
        if target.state is TargetState.CHANGING:
            when = f"overdue at {when}"
    words = f"{explained.end}: {when}" if explained.end and when else explained.end or when
    if words:
        yield _NEXT[explained.stands], words
    if explained.stands is Stands.WAITS:
        yield "ended by", str(explained.ended_by)
    for index, command in enumerate(explained.commands):
        yield "" if index else "commands", command


def _place_rows(facts: RolloutFacts, target: Target, zone: tzinfo | None) -> Iterator[tuple[str, str]]:
    standing = facts.standing
    wave = next((wave for wave in standing.steering.waves if wave.number == target.wave), None)
    if wave is not None:
        yield "wave", wave_words(wave, facts)
    if standing.steering.windows is not None:
        window = standing.find_window(target)
        until = sum_up((window,), standing.now).until
        then = "" if until is None or is_ever(until) else "; what was sent by then finishes"
        yield "window", open_words((window,), standing.now, zone) + then
    for group in standing.groups.of_server(target.server_id):
        yield "group", group.words


def _past_rows(target: Target, explained: Explanation) -> Iterator[tuple[str, str]]:
    disk = f"{explained.disk or 'not known'} {FATE_WORDS[explained.fate]}"
    if explained.fate is DiskFate.WIPED and target.disk_after:
        disk += f"; the new one is {target.disk_after}"
    yield "disk", disk
    if target.stopped_at is not None:
        yield "power", "may be powered off because of this run"
    allowed = max(target.attempts_allowed, len(target.attempts))
    if not target.attempts:
        yield "attempts", f"none of {allowed}"
    for attempt in target.attempts:
        yield "attempt", f"{attempt.number} of {allowed}: {_attempt_words(target, attempt)}"


def _attempt_words(target: Target, attempt: Attempt) -> str:
    outcome = outcome_of(target, attempt)
    parts = (
        str(outcome) if outcome else "in flight",
        attempt.error_code,
        attempt.fail_reason,
        f"job {attempt.job_id}" if attempt.job_id else None,
        f"sent {clock_time(attempt.sent_at, attempt.ended_at or attempt.sent_at)}",
        f"{counted(attempt.unanswered, 'send')} never answered" if attempt.unanswered else None,
    )
    return "; ".join(part for part in parts if part)
