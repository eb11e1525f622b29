"""View for log files: one line per change, with its time.

It writes a bounded number of lines a minute, even for a run of 100,000 servers.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TextIO

from fleetos.model.journal.events import (
    ChangeAnswered,
    Record,
    RequestAnswered,
    RunApproved,
    RunCreated,
    RunDriverEnded,
    RunDriverStarted,
    RunEvent,
    RunMoved,
    RunNotified,
    RunPassStarted,
    RunWaveFinished,
    RunWaveOpened,
    RunWavePromoted,
    RunWaveReopened,
    SettingChanged,
    TargetEvent,
    WaveEvent,
)
from fleetos.model.progress import Progress
from fleetos.model.run import Left, Settings, Target
from fleetos.model.states import ENDS, TargetState
from fleetos.model.wipes import wipes_of
from fleetos.text import counted
from fleetos.views.documents.events import state_of
from fleetos.views.slot_usage import SlotUsage
from fleetos.views.terminal.confirmation import image_lines, reinstall_lines
from fleetos.views.terminal.frame import Spent
from fleetos.views.terminal.summary import summary
from fleetos.views.text.format import printable, printable_lines, short_duration, short_timestamp
from fleetos.views.text.reasons import REASONS, pass_words, request_words, run_words
from fleetos.views.text.rollout_words import RolloutSource, iterate_lines
from fleetos.views.text.run_condition import left_words
from fleetos.views.text.server_names import server_name_and_id
from fleetos.views.text.target_notes import support_words, watched_words

# Lines about single servers in one minute; further ones are counted, and become one line.
SERVER_LINES_A_MINUTE = 20
_MINUTE = timedelta(minutes=1)
# Time between two lines while nothing moves.
_STILL_ALIVE = timedelta(minutes=10)
_STEP_PERCENT = 10

_TOLD = frozenset({TargetState.FAILED, TargetState.HELD, TargetState.BACKOFF, TargetState.INSPECTING})

_STATE_WORDS = {
    TargetState.READY: "turned away, will be asked again",
    TargetState.BACKOFF: "failed, will be tried again",
}


def _wipes_words(progress: Progress) -> str:
    run, wiped = progress.run, len(wipes_of(progress.run, progress.targets.values()).left)
    if not wiped:
        return "wipes no system disk"
    at_once = f"at most {run.settings.concurrency:,} at once"
    return f"WIPES up to {counted(wiped, 'system disk')}, {at_once}; data disks are kept"


class PlainView:
    """View for an operator who does not watch: lines in `out`, each flushed at once."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._begun_at: datetime | None = None
        self._minute_at: datetime | None = None
        self._lines_left = SERVER_LINES_A_MINUTE
        self._untold: Counter[TargetState] = Counter()
        self._told_at: datetime | None = None
        self._told_counts: Mapping[TargetState, int] = {}
        self._told_steps = 0
        self._turned_away: set[tuple[str, str]] = set()
        self._pace = SlotUsage()
        self._rollout: RolloutSource | None = None
        self._told_rollout: Sequence[str] = ()

    def started(self, progress: Progress, now: datetime, rollout: RolloutSource | None = None) -> None:
        run = progress.run
        self._begun_at, self._rollout = now, rollout
        waiting = sum(not target.ended for target in progress.targets.values())
        left = "" if waiting == len(progress.targets) else f", {waiting:,} of them left"
        self._say(now, f"run {run.id} {run.name}: {counted(len(progress.targets), 'server')}{left}")
        reinstalls = reinstall_lines([target for target in progress.targets.values() if not target.ended])
        for line in (*image_lines(run), *reinstalls):
            self._say(now, line)
        self._say(now, _wipes_words(progress))
        self._tell_rollout(now)
        self._remember(progress, now)

    def turned(self, progress: Progress, records: Sequence[Record], requests: Mapping[str, int], now: datetime) -> None:
        if self._minute_at is None or now - self._minute_at >= _MINUTE:
            self._new_minute(now)
        self._pace.add_turn(progress, records, now)
        for record in records:
            if isinstance(record.event, RunEvent):
                self._tell_run(record.event, record.at)
            else:
                self._tell_event(record.event, progress, record.at)
        self._tell_progress(progress, requests, now)

    def ended(self, progress: Progress, requests: Mapping[str, int], now: datetime) -> None:
        self._new_minute(now)
        elapsed_s = (now - self._begun_at).total_seconds() if self._begun_at else 0.0
        self._write(printable_lines(summary(progress, Spent(elapsed_s, requests, self._pace)).plain))

    def note(self, text: str, now: datetime) -> None:
        self._say(now, text)

    def _say(self, at: datetime, text: str) -> None:
        self._write(f"{short_timestamp(at)} {printable(text)}")

    def _write(self, text: str) -> None:
        # A log in another encoding than UTF-8 gets escapes, not an error in the middle of a run.
        encoding = self._out.encoding or "utf-8"
        self._out.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        self._out.flush()

    def _new_minute(self, now: datetime) -> None:
        if self._untold:
            counts = ", ".join(f"{count:,} {state}" for state, count in self._untold.items())
            self._say(now, f"and further servers, not named here: {counts}")
        self._untold.clear()
        self._minute_at = now
        self._lines_left = SERVER_LINES_A_MINUTE

    def _tell_run(self, event: RunEvent, at: datetime) -> None:
        match event:
            case RunMoved():
                words = run_words(event.to, event.reason, event.detail)
                self._say(at, f"run {event.to}{': ' if words else ''}{words}")
            case RequestAnswered():
                self._say(at, request_words(event))
            case SettingChanged():
                self._say(at, f"concurrency is {event.concurrency:,}")
            case RunNotified():
                self._tell_notification(event, at)
            case RunPassStarted():
                self._say(at, pass_words(event))
            case RunWaveOpened() | RunWaveFinished() | RunWaveReopened() | RunWavePromoted() | RunApproved():
                self._tell_wave(event, at)
            case RunDriverStarted():
                self._say(at, f"driven by {event.driver}")
            case RunDriverEnded():
                self._say(at, f"driven no more: {left_words(Left(at, event.driver, event.why, event.detail))}")
            case RunCreated():
                self._say(at, f"run {event.run.id} created")

    def _tell_notification(self, event: RunNotified, at: datetime) -> None:
        # What was sent is news where it arrives.
        if event.outcome == "failed":
            service = printable(event.service)
            self._say(at, f"notify {event.entry} ({service}), {event.occasion}: not sent: {printable(event.detail)}")

    def _tell_wave(self, event: WaveEvent, at: datetime) -> None:
        match event:
            case RunWaveOpened():
                self._say(at, f"wave {event.number} begins")
            case RunWaveFinished():
                self._say(at, f"wave {event.number} is finished")
                self._tell_rollout(at)
            case RunWaveReopened():
                self._say(at, f"wave {event.number} is unfinished again")
            case RunWavePromoted():
                self._say(at, f"wave {event.number} is promoted by {printable(event.by)}")
            case RunApproved():
                self._say(at, f"wave {event.number} is approved by {printable(event.by)}")

    def _tell_event(self, event: TargetEvent, progress: Progress, at: datetime) -> None:
        target, settings, state = progress.targets[event.server_id], progress.run.settings, state_of(event)
        if isinstance(event, ChangeAnswered) and state is TargetState.READY and event.code:
            # The same answer may come every few seconds for as long as a quota is used up.
            if (event.server_id, event.code) not in self._turned_away:
                self._turned_away.add((event.server_id, event.code))
                self._tell_server(target, settings, state, at)
        elif state is TargetState.INSPECTING and not (target.unsettled or isinstance(event, ChangeAnswered)):
            return  # a retry inspects each server first: that is news only if an outcome is unknown
        elif state is not None and state in _TOLD:
            self._tell_server(target, settings, state, at)

    def _tell_server(self, target: Target, settings: Settings, state: TargetState, at: datetime) -> None:
        if self._lines_left <= 0:
            self._untold[state] += 1
            return
        self._lines_left -= 1
        # The target may have moved on since the record, within the same turn.
        reason = REASONS[target.reason].short if target.reason and target.state is state else ""
        doubtful = state is TargetState.INSPECTING
        words = watched_words(target, settings, at) if doubtful else _STATE_WORDS.get(state, str(state))
        parts = (words, reason, support_words(target))
        self._say(at, f"{server_name_and_id(target)}: {'; '.join(part for part in parts if part)}")

    def _tell_progress(self, progress: Progress, requests: Mapping[str, int], now: datetime) -> None:
        ended = sum(progress.counts.get(state, 0) for state in ENDS)
        total = len(progress.targets)
        steps = 100 * ended // total // _STEP_PERCENT if total else 0
        waited = now - self._told_at if self._told_at else _STILL_ALIVE
        moved = dict(progress.counts) != self._told_counts
        if steps <= self._told_steps and not (waited >= _STILL_ALIVE or (moved and waited >= _MINUTE)):
            return
        counts = ", ".join(f"{progress.counts[state]:,} {state}" for state in TargetState if progress.counts.get(state))
        percent = 100 * ended // total if total else 100
        elapsed = short_duration((now - self._begun_at).total_seconds()) if self._begun_at else "0s"
        calls = counted(sum(requests.values()), "API call")
        self._say(now, f"{percent} % finished, {elapsed} elapsed: {counts}; {calls}")
        self._tell_rollout(now)
        self._remember(progress, now)

    def _tell_rollout(self, now: datetime) -> None:
        """Tell the lines about the rollout that are new."""
        lines = list(iterate_lines(self._rollout))
        for line in lines:
            if line not in self._told_rollout:
                self._say(now, line)
        self._told_rollout = lines

    def _remember(self, progress: Progress, now: datetime) -> None:
        ended = sum(progress.counts.get(state, 0) for state in ENDS)
        total = len(progress.targets)
        self._told_at = now
        self._told_counts = dict(progress.counts)
        self._told_steps = 100 * ended // total // _STEP_PERCENT if total else 0
