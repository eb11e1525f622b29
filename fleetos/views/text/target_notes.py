"""What to say about one target: what it waits for, or what the cloud said when it failed."""

from dataclasses import dataclass, replace
from datetime import datetime

from fleetos.model.codes import meaning_of
from fleetos.model.run import Settings, Target
from fleetos.model.states import Reason, TargetState
from fleetos.views.text.format import clip, limit_span, printable, short_stamp, span
from fleetos.views.text.reasons import REASONS

_JOB_ID_SHOWN = 12
# Terminal cells of the cloud's own words in a line; all of them are in the JSON.
_WORDS_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the support desk asks for: the newest error code, the cloud's own words, job and request id, and when."""

    code: str | None = None
    fail_reason: str | None = None
    job_id: str | None = None
    request_id: str | None = None
    sent_at: datetime | None = None


def trouble_of(target: Target) -> Trouble:
    """What the cloud last said against the target; all None if it said nothing."""
    if target.attempts:
        last = target.attempts[-1]
        if last.error_code or last.fail_reason or last.job_id or last.request_id:
            return Trouble(last.error_code, last.fail_reason, last.job_id, last.request_id, last.sent_at)
    for call in reversed(target.calls):
        if call.code:
            return Trouble(call.code, job_id=call.job_id, sent_at=call.intended_at)
    return Trouble()


def code_words(code: str) -> str:
    """The cloud's error code with its meaning where it is known: `Ecs.0021, the disk quota is used up`."""
    meaning = meaning_of(code)
    return f"{printable(code)}, {meaning}" if meaning else printable(code)


def support_words(target: Target) -> str:
    """Code with meaning, the cloud's own words, job id, request id and time in one line; empty without trouble."""
    trouble = trouble_of(target)
    words = clip(_bare(trouble), _WORDS_SHOWN)
    if trouble.code and _alike(words, meaning_of(trouble.code) or ""):
        words = ""
    parts = (
        code_words(trouble.code) if trouble.code else "",
        f'"{words}"' if words else "",
        f"job {printable(trouble.job_id)}" if trouble.job_id else "",
        f"request {printable(trouble.request_id)}" if trouble.request_id else "",
        f"sent {short_stamp(trouble.sent_at)}" if trouble.sent_at else "",
    )
    return "; ".join(part for part in parts if part)


def _bare(trouble: Trouble) -> str:
    """The words without the code before and the request id behind them, which are told beside them anyway."""
    words = trouble.fail_reason or ""
    if trouble.code:
        words = words.removeprefix(f"{trouble.code}: ")
    return words.removesuffix(f" (request {trouble.request_id})") if trouble.request_id else words


def own_words(target: Target) -> str:
    """What fleetos itself says of the target's end, without what the cloud said, which is told beside it. Printable."""
    trouble = trouble_of(target)
    said, words = _bare(trouble), _bare(replace(trouble, fail_reason=target.detail))
    if said and words.endswith(said):
        words = words.removesuffix(said).rstrip(": ")
    reason = REASONS[target.reason].short if target.reason else ""
    return "" if _alike(words.removeprefix("is ").removeprefix("the run was "), reason) else printable(words)


def _alike(words: str, others: str) -> bool:
    """Whether both say the same but for capitals and a full stop."""
    return words.rstrip(". ").casefold() == others.rstrip(". ").casefold()


def note_of(target: Target, settings: Settings, now: datetime) -> str:
    """A few words on why the target of a driven run is where it is, most telling first."""
    match target.state:
        case TargetState.FAILED | TargetState.HELD | TargetState.SKIPPED | TargetState.CANCELLED:
            return _joined(_cause(target), _reason_words(target.reason), own_words(target))
        case TargetState.BACKOFF:
            return _joined(_next_try(target, now), _cause(target))
        case TargetState.INSPECTING:
            # Before another pass sends anything it looks as well, at what became of attempts whose outcome is known.
            first = watched_words(target, settings, now) if target.unsettled else "inspecting it first"
            return _joined(first, printable(target.detail), _job_words(target))
        case TargetState.CHANGING:
            attempt = target.attempt
            adopted = attempt is not None and attempt.job_id is None and attempt.adopted
            return "seen changing, no job id" if adopted else _joined(_attempt_words(target), _job_words(target))
        case TargetState.READY | TargetState.WAITING | TargetState.CHECKING:
            waits = target.not_before is not None and target.not_before > now
            return _joined(_next_try(target, now), _cause(target)) if waits else ""
        case TargetState.STOPPING:
            return "hard stop" if any(call.verb == "stop" and call.hard for call in target.calls) else ""
        case TargetState.RESTORING:
            return f"power as before, then {target.then.state}" if target.then else "power as before"
        case _:
            return ""


def watched_words(target: Target, settings: Settings, now: datetime) -> str:
    """Until when an unknown outcome is watched at the latest, and by which of the plan's times."""
    until = target.watched_until(settings)
    if until is None:
        return f"outcome unknown, watched for {limit_span(settings.settle_s)} (timeouts.settle)"
    if until <= now:
        return f"outcome unknown, watched for {limit_span(settings.settle_s)} more (timeouts.settle)"
    return f"outcome unknown, watched until {until:%H:%MZ} at the latest (timeouts.change), then held or tried again"


def resting_note(target: Target, waits: str) -> str:
    """A few words on why a target does not move that nobody drives: `waits`, and what it would do else."""
    power = "may be powered off" if target.stopped_at is not None else ""
    match target.state:
        case TargetState.BACKOFF:
            return _joined(power, waits, _cause(target))
        case TargetState.INSPECTING if target.unsettled:
            return _joined("outcome unknown", power, waits, _job_words(target))
        case TargetState.CHANGING:
            return _joined("change sent", waits, _job_words(target))
        case _:
            return _joined(power, waits)


def _cause(target: Target) -> str:
    trouble = trouble_of(target)
    if trouble.code:
        return code_words(trouble.code)
    return printable(trouble.fail_reason or "")


def _reason_words(reason: Reason | None) -> str:
    return REASONS[reason].short if reason else ""


def _next_try(target: Target, now: datetime) -> str:
    if target.not_before is None or target.not_before <= now:
        return "retry is queued"
    return f"retry in {span((target.not_before - now).total_seconds())}"


def _attempt_words(target: Target) -> str:
    attempt = target.attempt
    return f"attempt {attempt.number}" if attempt and attempt.number > 1 else ""


def _job_words(target: Target) -> str:
    attempt = target.attempt
    return f"job {printable(attempt.job_id[:_JOB_ID_SHOWN])}" if attempt and attempt.job_id else ""


def _joined(*parts: str) -> str:
    said: list[str] = []
    for part in parts:
        if part and part not in said:
            said.append(part)
    return "; ".join(said)
