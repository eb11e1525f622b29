"""The cloud's log of actions as a witness of a change whose answer was lost. Pure.

It is asked once a settle is over, so that no request of ours is on its way any more, and it never says that nothing
happened: a log may be behind, or not be offered.
"""

from fleetos.limits import TRACE_SKEW_S
from fleetos.model.run import Attempt
from fleetos.model.traces import LoggedEnd
from fleetos.rules.needs import AskTraces, Context
from fleetos.rules.observation import LOOK_AGAIN_SHARE, SELDOM_LOOK_S, ObservationSeries


def ask(attempt: Attempt, context: Context) -> AskTraces:
    """The next question: at once, then less and less often, since what the log does not tell yet it may tell later."""
    now_s, traced = context.now.elapsed_s, context.traced
    if traced is None or is_stale(context):
        return AskTraces(attempt.traces_since, now_s)
    pause_s = max(context.settings.poll_max_s, min(context.here_s * LOOK_AGAIN_SHARE, SELDOM_LOOK_S))
    return AskTraces(attempt.traces_since, max(now_s, traced.elapsed_s + pause_s))


def end_of(attempt: Attempt, context: Context) -> LoggedEnd | None:
    """How our change ended by the log; None where no entry is known to be that of this attempt.

    The entry is by our own user and alone, and it began after the send, by no more than a request may be late. Where
    the cloud did not tell its own time of the send, an earlier attempt could not be told from this one.
    """
    change = None if context.traces is None else context.traces.change
    if change is None or attempt.cloud_at is None:
        return None
    sending_s = max(0.0, (attempt.sent_at - attempt.intended_at).total_seconds())
    late_s = (change.started_at - attempt.cloud_at).total_seconds()
    return change.end if -TRACE_SKEW_S <= late_s <= sending_s + context.settle_s else None


def is_stale(context: Context) -> bool:
    """Whether the log was read before a settle was over since the job went on: it may not have told of its end then."""
    traced, over = context.traced, context.job_over
    return traced is not None and over is not None and traced.since_s(over) < context.settle_s


def seen_since_s(watch: ObservationSeries, context: Context) -> float:
    """For how long the server was looked at after the log was read."""
    return 0.0 if context.traced is None else watch.last.requested.since_s(context.traced)


def words(context: Context) -> str:
    """What the log shows, in words."""
    return "" if context.traces is None else "; ".join(context.traces.words)
