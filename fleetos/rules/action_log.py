"""The cloud's action log as evidence for a change whose reply was lost. Pure.

It is read once a settle is over, so that no request of ours is on its way any more. It never proves that nothing
happened: a log may be behind, or not be offered.
"""

from fleetos.limits import TRACE_SKEW_S
from fleetos.model.run import Attempt
from fleetos.model.traces import LoggedEnd
from fleetos.rules.needs import Context, ReadTracesNeed
from fleetos.rules.observation import READ_AGAIN_SHARE, SELDOM_READ_S, ObservationSeries


def ask_for_traces(attempt: Attempt, context: Context) -> ReadTracesNeed:
    """Return the next read of the traces: at once, then less and less often, since the log may be behind."""
    now_s, traced = context.now.elapsed_s, context.traces_read_at
    if traced is None or is_stale(context):
        return ReadTracesNeed(attempt.traces_since, now_s)
    pause_s = max(context.settings.poll_max_s, min(context.in_state_s * READ_AGAIN_SHARE, SELDOM_READ_S))
    return ReadTracesNeed(attempt.traces_since, max(now_s, traced.elapsed_s + pause_s))


def find_logged_end(attempt: Attempt, context: Context) -> LoggedEnd | None:
    """Return the end of our change by the log; None where no entry is known to be that of this attempt.

    The entry is by our own user and alone, and it began after the send, by no more than a request may be late. Where
    the cloud did not state its own time of the send, an earlier attempt could not be told from this one.
    """
    change = None if context.traces is None else context.traces.change
    if change is None or attempt.cloud_at is None:
        return None
    sending_s = max(0.0, (attempt.sent_at - attempt.intended_at).total_seconds())
    late_s = (change.started_at - attempt.cloud_at).total_seconds()
    return change.end if -TRACE_SKEW_S <= late_s <= sending_s + context.settle_s else None


def is_stale(context: Context) -> bool:
    """Return True if the log was read less than a settle after the job was first no longer seen running.

    Such a log may not have shown the end yet.
    """
    traced, over = context.traces_read_at, context.job_not_running_at
    return traced is not None and over is not None and traced.since_s(over) < context.settle_s


def observed_since_s(series: ObservationSeries, context: Context) -> float:
    """Return the seconds for which the server was observed after the log was read."""
    return 0.0 if context.traces_read_at is None else series.last.requested.since_s(context.traces_read_at)


def describe_traces(context: Context) -> str:
    """Describe in words what the log shows."""
    return "" if context.traces is None else "; ".join(context.traces.words)
