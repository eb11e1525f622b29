"""More faults of the kind of `further`: in what is sent, in how an end is told, and in the waits and turns of a run."""

from collections.abc import Sequence

from tests.simulation.mutations.patches import Mutation, Patch
from tests.simulation.mutations.shared_patches import ANY, CLOUD, ENGINE, FOLD, PLANNING, RULES, seen_by_any

_POWER, _ENDED, _ENDS, _BODIES = (
    f"{RULES}/states/power.py",
    f"{RULES}/states/verifying.py",
    f"{RULES}/outcomes.py",
    f"{CLOUD}/api/request_bodies.py",
)


WIRE_AND_QUEUE_FAULTS: Sequence[Mutation] = (
    seen_by_any(
        "started-after-change",
        "a server that fleetos stopped is started again as it was, though its change was accepted",
        _ENDS,
        "        and not any(_was_taken(attempt) for attempt in target.attempts)\n",
        "",
    ),
    seen_by_any(
        "untried-first",
        "servers that nobody has tried go before a retry that is due",
        f"{RULES}/admission/lanes.py",
        "    rank = 0 if target.not_before is not None else",
        "    rank = 3 if target.not_before is not None else",
    ),
    Mutation(
        "backoff-not-kept",
        ANY,
        "a failed attempt is followed by the next one without its wait",
        (
            Patch(
                f"{RULES}/admission/lanes.py",
                "        if target.not_before is not None and target.not_before > standing.now:\n",
                "        if False:\n",
            ),
            Patch(
                f"{RULES}/admission/why_not.py",
                "    if target.not_before is None or target.not_before <= standing.now:\n",
                "    if target.not_before is None or target.not_before:\n",
            ),
        ),
    ),
    seen_by_any(
        "half-a-settle",
        "a settle takes half of its time",
        f"{ENGINE}/tracker.py",
        "settle_s=self.changes.settle_s(run.settings)",
        "settle_s=self.changes.settle_s(run.settings) / 2",
    ),
    seen_by_any(
        "unanswered-stop-is-over",
        "a stop that was never answered counts as over once its server is seen stopped",
        _POWER,
        "    final = all(call.outcome in (PowerOutcome.ENDED, PowerOutcome.REFUSED) for call in target.calls)\n",
        "    final = all(call.outcome is not PowerOutcome.ACCEPTED for call in target.calls)\n",
    ),
    seen_by_any(
        "restored-whatever-came",
        "a server that could not be started again counts as started",
        _POWER,
        '"it could not be started again", restored=False',
        '"it could not be started again", restored=True',
    ),
    seen_by_any(
        "held-counts-as-running",
        "a server that is left to a human after an attempt counts as running",
        _ENDS,
        "        restored=snapshot.running,\n",
        "        restored=True,\n",
    ),
    seen_by_any(
        "move-forgets-stop",
        "whichever way a target moves, its server counts as running again",
        FOLD,
        "        stopped_at=None if event.restored else after.stopped_at,\n",
        "        stopped_at=None,\n",
    ),
    seen_by_any(
        "server-error-is-refusal",
        "an answer 500, 502 or 504 proves that nothing was done",
        "fleetos/model/codes.py",
        "    409: AnswerClass.CONFLICT,\n",
        (
            "    409: AnswerClass.CONFLICT,\n    500: AnswerClass.LATER,\n    502: AnswerClass.LATER,\n"
            "    504: AnswerClass.LATER,\n"
        ),
    ),
    seen_by_any(
        "day-forgotten",
        "that a send was never answered is forgotten when its attempt goes on",
        FOLD,
        "    last = target.remembered_at if resolved else target.last_unanswered_at\n",
        "    last = target.remembered_at\n",
    ),
    seen_by_any(
        "savings-without-end",
        "whoever rests saves up requests without a bound",
        f"{CLOUD}/rate/token_bucket.py",
        "        self._tokens = min(self.burst, self._tokens + max(0.0, now_s - self._at_s) * self.rate_per_s)\n",
        "        self._tokens += max(0.0, now_s - self._at_s) * self.rate_per_s\n",
    ),
    seen_by_any(
        "half-the-wait",
        "after a 429 half of the wait is kept that the cloud asks for",
        f"{CLOUD}/rate/throttle.py",
        "self._open_at_s = max(self._open_at_s, now_s + wait_s)",
        "self._open_at_s = max(self._open_at_s, now_s + wait_s / 2)",
    ),
    seen_by_any(
        "plan-before-server",
        "what a plan says for all servers goes before what it says of one",
        f"{PLANNING}/preflight/orders.py",
        "spec.over(self._plan.change)",
        "self._plan.change.over(spec)",
    ),
    seen_by_any(
        "one-user-data-for-all",
        "user data that was read once is taken for every other file",
        f"{PLANNING}/secrets.py",
        "        if hashlib.sha256(data).hexdigest() != ref.sha256:\n",
        '        data = self.__dict__.setdefault("_first", data)\n        if False:\n',
    ),
    seen_by_any(
        "user-data-as-it-is",
        "user data is sent without its encoding",
        _BODIES,
        "b64encode(secrets.user_data).decode()",
        "secrets.user_data.decode()",
    ),
    seen_by_any(
        "password-beside-key-left-out",
        "a password is left out where there is metadata",
        _BODIES,
        "    if secrets.adminpass is not None:\n",
        "    if secrets.adminpass is not None and not order.metadata:\n",
    ),
    seen_by_any(
        "stops-hard-on-the-wire",
        "every stop asks the cloud to switch off",
        _BODIES,
        '"HARD" if hard else "SOFT"',
        '"HARD"',
    ),
    seen_by_any(
        "first-stop-hard",
        "the first stop of a server switches it off, whatever the plan says",
        _POWER,
        '        return (PowerNeed("stop", hard=context.settings.stop is StopMode.HARD),)\n',
        '        return (PowerNeed("stop", hard=True),)\n',
    ),
    seen_by_any(
        "last-stop-hard",
        "a changed server that was stopped before is switched off at the end, whatever the plan says",
        _POWER,
        '    power = PowerNeed("stop", hard=context.settings.stop is StopMode.HARD)\n',
        '    power = PowerNeed("stop", hard=True)\n',
    ),
)
