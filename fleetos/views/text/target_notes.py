"""One note about a target: what it waits for, or why it failed."""

from dataclasses import dataclass, replace
from datetime import datetime

from fleetos.model.codes import meaning_of
from fleetos.model.run import Settings, Target
from fleetos.model.states import Reason, TargetState
from fleetos.views.text.code_words import code_words
from fleetos.views.text.format import clip, exact_duration, printable, short_duration, short_timestamp
from fleetos.views.text.reasons import REASONS

_JOB_ID_SHOWN = 12
# Terminal cells for the cloud's own words in a line; the JSON has all of them.
_WORDS_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Trouble:
    """Facts that the cloud's support desk asks for, about the newest failure."""

    code: str | None = None
    """Error code of the cloud."""
    fail_reason: str | None = None
    """The cloud's own words."""
    job_id: str | None = None
    request_id: str | None = None
    """The cloud's id of the request; a support desk finds its logs by it."""
    sent_at: datetime | None = None
    """Time at which the request was sent, or, for a power call, intended."""


def trouble_of(target: Target) -> Trouble:
    """Return the newest failure that the cloud reported for the target; all fields None if there is none."""
    if target.attempts:
        last = target.attempts[-1]
        if last.error_code or last.fail_reason or last.job_id or last.request_id:
            return Trouble(last.error_code, last.fail_reason, last.job_id, last.request_id, last.sent_at)
    for call in reversed(target.calls):
        if call.code:
            return Trouble(call.code, job_id=call.job_id, sent_at=call.intended_at)
    return Trouble()


def support_words(target: Target) -> str:
    """Return the newest failure in one line, with all facts that the support desk asks for; empty if there is none."""
    trouble = trouble_of(target)
    words = clip(_strip_code_and_request(trouble), _WORDS_SHOWN)
    if trouble.code and _says_the_same(words, meaning_of(trouble.code) or ""):
        words = ""
    parts = (
        code_words(trouble.code) if trouble.code else "",
        f'"{words}"' if words else "",
        f"job {printable(trouble.job_id)}" if trouble.job_id else "",
        f"request {printable(trouble.request_id)}" if trouble.request_id else "",
        f"sent {short_timestamp(trouble.sent_at)}" if trouble.sent_at else "",
    )
    return "; ".join(part for part in parts if part)


def _strip_code_and_request(trouble: Trouble) -> str:
    """Return the cloud's words without the code before and the request id after them: both are shown beside them."""
    words = trouble.fail_reason or ""
    if trouble.code:
        words = words.removeprefix(f"{trouble.code}: ")
    return words.removesuffix(f" (request {trouble.request_id})") if trouble.request_id else words


def own_words(target: Target) -> str:
    """Return what fleetos itself says about the target's end, without the cloud's words, which are shown beside it."""
    trouble = trouble_of(target)
    cloud_words, words = (
        _strip_code_and_request(trouble),
        _strip_code_and_request(replace(trouble, fail_reason=target.detail)),
    )
    if cloud_words and words.endswith(cloud_words):
        words = words.removesuffix(cloud_words).rstrip(": ")
    reason = REASONS[target.reason].short if target.reason else ""
    return "" if _says_the_same(words.removeprefix("is ").removeprefix("the run was "), reason) else printable(words)


def _says_the_same(words: str, others: str) -> bool:
    """Return whether both say the same, apart from capitals and a full stop."""
    return words.rstrip(". ").casefold() == others.rstrip(". ").casefold()


def note_of(target: Target, settings: Settings, now: datetime) -> str:
    """Return why a target of a driven run is in its state, in a few words, the most important first."""
    match target.state:
        case TargetState.FAILED | TargetState.HELD | TargetState.SKIPPED | TargetState.CANCELLED:
            return _join(_cause(target), _reason_words(target.reason), own_words(target))
        case TargetState.BACKOFF:
            return _join(_next_try(target, now), _cause(target))
        case TargetState.INSPECTING:
            # A retry inspects the server before its first send, also where the outcomes of all attempts are known.
            first = watched_words(target, settings, now) if target.unsettled else "inspecting it first"
            return _join(first, printable(target.detail), _job_words(target))
        case TargetState.CHANGING if target.change_failed:
            return _join(_attempt_words(target), "failed, looked at again", _cause(target), _job_words(target))
        case TargetState.CHANGING:
            attempt = target.attempt
            adopted = attempt is not None and attempt.job_id is None and attempt.adopted
            return "seen changing, no job id" if adopted else _join(_attempt_words(target), _job_words(target))
        case TargetState.READY | TargetState.WAITING | TargetState.CHECKING:
            waits = target.not_before is not None and target.not_before > now
            return _join(_next_try(target, now), _cause(target)) if waits else ""
        case TargetState.STOPPING:
            return "hard stop" if any(call.verb == "stop" and call.hard for call in target.calls) else ""
        case TargetState.RESTORING:
            return f"power as before, then {target.then.state}" if target.then else "power as before"
        case _:
            return ""


def watched_words(target: Target, settings: Settings, now: datetime) -> str:
    """Return until when an unknown outcome is watched at the latest, and the key in the plan that sets this time."""
    until = target.watched_until(settings)
    if until is None:
        return f"outcome unknown, watched for {exact_duration(settings.settle_s)} (timeouts.settle)"
    if until <= now:
        return f"outcome unknown, watched for {exact_duration(settings.settle_s)} more (timeouts.settle)"
    return f"outcome unknown, watched until {until:%H:%MZ} at the latest (timeouts.change), then held or tried again"


def resting_note(target: Target, waits: str) -> str:
    """Return why a target of a run without a driver does not move: `waits`, and what it would do with one."""
    power = "may be powered off" if target.stopped_at is not None else ""
    match target.state:
        case TargetState.BACKOFF:
            return _join(power, waits, _cause(target))
        case TargetState.INSPECTING if target.unsettled:
            return _join("outcome unknown", power, waits, _job_words(target))
        case TargetState.CHANGING:
            return _join("change failed" if target.change_failed else "change sent", waits, _job_words(target))
        case _:
            return _join(power, waits)


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
    return f"retry in {short_duration((target.not_before - now).total_seconds())}"


def _attempt_words(target: Target) -> str:
    attempt = target.attempt
    return f"attempt {attempt.number}" if attempt and attempt.number > 1 else ""


def _job_words(target: Target) -> str:
    attempt = target.attempt
    return f"job {printable(attempt.job_id[:_JOB_ID_SHOWN])}" if attempt and attempt.job_id else ""


def _join(*parts: str) -> str:
    kept: list[str] = []
    for part in parts:
        if part and part not in kept:
            kept.append(part)
    return "; ".join(kept)
