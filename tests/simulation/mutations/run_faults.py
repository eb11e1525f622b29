"""Faults in the pace of a run, its journal, and its way with the cloud."""

from tests.simulation.mutations.patches import Mutation, Patch
from tests.simulation.mutations.shared_patches import CLOUD, ENGINE, RULES, one

ROLLOUT = (
    Mutation(
        "one-slot-too-many",
        "I3",
        "one more change is sent than may run at once",
        one(
            f"{ENGINE}/sender.py",
            "turn.slots_taken >= turn.run.settings.concurrency",
            "turn.slots_taken > turn.run.settings.concurrency",
        ),
    ),
    Mutation(
        "inspecting-holds-no-slot",
        "I3",
        "a server with an unknown outcome gives its slot back",
        one(
            f"{ENGINE}/turn.py",
            "return sum([self._counts.get(state, 0) for state in HOLDS_SLOT])",
            'return sum([self._counts.get(state, 0) for state in HOLDS_SLOT if state != "inspecting"])',
        ),
    ),
    Mutation(
        "slots-end-where-doubt-begins",
        "I3",
        "by the law itself a server with an unknown outcome holds no slot",
        one(
            "fleetos/model/states.py",
            "HOLDS_SLOT = frozenset({_S.SUBMITTING, _S.CHANGING, _S.INSPECTING})",
            "HOLDS_SLOT = frozenset({_S.SUBMITTING, _S.CHANGING})",
        ),
    ),
    Mutation(
        "abort-admits",
        "I4",
        "an aborted run admits those who wait",
        (
            Patch(
                f"{RULES}/admission/why_not.py",
                "    if standing.run.state in (RunState.RUNNING, RunState.PAUSED):\n",
                "    if standing.run.state:\n",
            ),
            Patch(
                "fleetos/rules/states/ready.py",
                "    if context.run_finishing:\n        return abort_target(target, None)\n    return ()\n",
                "    return ()\n",
            ),
        ),
    ),
    Mutation(
        "pause-is-not-heard",
        "I4",
        "the turn that pauses the run goes on to send",
        (
            Patch(f"{ENGINE}/engine.py", "self._leaving or _stands_still(turn.run)\n", "self._leaving\n"),
            Patch(
                f"{RULES}/states/ready.py",
                "    if not (context.run_running or context.run_finishing):\n"
                "        return (Wait(context.next_poll_s()),)\n    if target.not_before",
                "    if target.not_before",
            ),
            Patch(f"{ENGINE}/sender.py", "in () if turn.run.state is RunState.PAUSED else tuple(", "in tuple("),
        ),
    ),
    Mutation(
        "pause-is-not-asked-for",
        "I4",
        "a write that waits for a token leaves though the run has been paused meanwhile",
        one(
            f"{ENGINE}/engine.py",
            "        if state is RunState.RUNNING or (",
            "        if state in (RunState.RUNNING, RunState.PAUSED) or (",
        ),
    ),
    Mutation(
        "pause-admits",
        "I4",
        "a run that pauses since too many changes are overdue admits the next server",
        one(
            f"{RULES}/admission/why_not.py",
            "    if run.state is not RunState.PAUSED:\n",
            '    if run.state is not RunState.PAUSED or run.reason == "too-many-overdue":\n',
        ),
    ),
    Mutation(
        "time-given-anew",
        "I7",
        "whoever takes a run over gives each change its whole time anew",
        one(
            f"{RULES}/states/changing.py",
            """\
    late_s = (context.now.wall - attempt.deadline).total_seconds()
    if late_s < 0:
        return (Wait(context.to_elapsed_s(attempt.deadline)),)
""",
            """\
    late_s = context.in_state_s - context.settings.change_timeout_s
    if late_s < 0:
        return (Wait(context.now.elapsed_s - late_s),)
""",
        ),
    ),
    Mutation(
        "overdue-for-ever",
        "I7",
        "a change that does not end is waited for without a bound",
        one(
            f"{RULES}/states/changing.py",
            "    if late_s > context.settings.change_timeout_s and context.in_state_s >= context.settle_s:\n",
            "    if False:\n",
        ),
    ),
)

BRAKE = (
    Mutation(
        "first-forgotten-by-a-resume",
        "I15",
        "whoever takes a run over counts its failures from zero",
        one(
            f"{ENGINE}/rollout/state.py",
            "self.failures = Failures.of(progress.run, targets)",
            "self.failures = Failures.of(progress.run, ())",
        ),
    ),
    Mutation(
        "held-left-out",
        "I15",
        "a server that is held for a human counts as no failure",
        one("fleetos/model/run.py", "return state in RETRIABLE and not", "return state is TargetState.FAILED and not"),
    ),
    Mutation(
        "one-failure-too-many",
        "I15",
        "the run pauses one failure too late",
        one(f"{RULES}/budgets.py", "self.failed > self.allowed", "self.failed > self.allowed + 1"),
    ),
    Mutation(
        "one-failure-too-few",
        "I15",
        "the run pauses when as many failed as may",
        one(f"{RULES}/budgets.py", "self.failed > self.allowed", "self.failed >= self.allowed"),
    ),
    Mutation(
        "done-before-counts",
        "I15",
        "a server that an earlier pass has changed ends the brake of the next",
        one(
            "fleetos/model/run.py",
            "return self.state is TargetState.DONE and self.pass_no == pass_no",
            "return self.state is TargetState.DONE",
        ),
    ),
    Mutation(
        "apply-ends-the-pause",
        "I15",
        "a timer that calls apply goes on with a run that its budget has paused",
        one(
            f"{ENGINE}/reconcile.py",
            "if turn.run.state is RunState.PAUSED and ends_pause(command, turn.run.reason):",
            "if turn.run.state is RunState.PAUSED:",
        ),
    ),
    Mutation(
        "budget-pause-admits",
        "I4",
        "a run that its budget has paused goes on to send what is ready",
        (
            Patch(f"{ENGINE}/sender.py", "in () if turn.run.state is RunState.PAUSED else tuple(", "in tuple("),
            Patch(
                f"{ENGINE}/engine.py",
                "        if state is RunState.RUNNING or (",
                "        if state in (RunState.RUNNING, RunState.PAUSED) or (",
            ),
        ),
    ),
)

REQUESTS = (
    Mutation(
        "heard-twice",
        "I16",
        "a request that was answered is not marked as done, so that the next driver hears it again",
        one(f"{ENGINE}/judge.py", "        turn.answer_request(request.id)\n", ""),
    ),
    Mutation(
        "never-answered",
        "I16",
        "a request takes its effect, and nobody is told",
        one(f"{ENGINE}/judge.py", "        turn.write_event(ours.record(request))\n", ""),
    ),
    Mutation(
        "answered-without-effect",
        "I16",
        "a request is answered, and what it asks for is left for later",
        one(
            f"{ENGINE}/judge.py",
            "        for event in ours.events:\n            self._tracker.write_event(turn, event)\n",
            "",
        ),
    ),
    Mutation(
        "last-request-first",
        "I16",
        "of several requests the last one is answered first",
        one(
            f"{RULES}/requests/run_requests.py",
            "is not RequestKind.ABORT, request.id)",
            "is not RequestKind.ABORT, -request.id)",
        ),
    ),
    Mutation(
        "pause-leaves-at-once",
        "I16",
        "a driver leaves a pause before what is in flight has ended",
        one(f"{ENGINE}/engine.py", "(_stands_still(self.progress.run) or self.progress.at_rest)", "True"),
    ),
    Mutation(
        "nobody-is-recalled",
        "I16",
        "a pause leaves those where they are that were made ready for their change",
        (
            Patch(f"{RULES}/outcomes.py", "context.run_resting or context.recalled", "context.recalled"),
            Patch(
                "fleetos/model/progress.py",
                "and not (self.ahead and any(target.recallable for target in self._targets.values()))",
                "",
            ),
        ),
    ),
)

JOURNAL = (
    Mutation(
        "target-not-stored",
        "I6",
        "of several targets that one turn changed, one is not stored",
        one(
            f"{ENGINE}/engine.py",
            "self._journal.append(turn.run, turn.events, changed, turn.at, turn.answered)",
            "self._journal.append(turn.run, turn.events, changed[:1], turn.at, turn.answered)",
        ),
    ),
    Mutation(
        "record-left-out",
        "I6",
        "of several records of one turn, the first is not written",
        one(
            f"{ENGINE}/engine.py",
            "self._journal.append(turn.run, turn.events, changed, turn.at, turn.answered)",
            "self._journal.append(turn.run, turn.events[1:] or turn.events, changed, turn.at, turn.answered)",
        ),
    ),
    Mutation(
        "epoch-not-asked",
        "I11",
        "a commit does not ask whether somebody else has taken the run over",
        one("fleetos/store/memory_journal.py", "        if self._store.epoch != self._epoch:\n", "        if False:\n"),
    ),
    Mutation(
        "no-last-check",
        "I11",
        "nothing is asked in the moment before a write leaves",
        one(
            f"{ENGINE}/performer.py",
            "        def last_check() -> str | None:\n",
            "        def last_check() -> str | None:\n            return None\n",
        ),
        seeds=600,
    ),
)

CLOUD_SIDE = (
    Mutation(
        "told-secrets",
        "I8",
        "the cloud's words are kept as they are, secrets and all",
        one(
            f"{CLOUD}/http/error_body.py",
            "redact(printable, secrets)[: 4 * MESSAGE_CHARS]",
            "printable[: 4 * MESSAGE_CHARS]",
        ),
    ),
    Mutation(
        "refused-scope-stays-open",
        "I10",
        "after a 429 others go on sending",
        one(
            f"{CLOUD}/rate/throttle.py",
            "self._open_at_s = max(self._open_at_s, now_s + wait_s)",
            "self._open_at_s = max(self._open_at_s, now_s)",
        ),
    ),
    Mutation(
        "half-a-token",
        "I10",
        "requests leave at twice the rate that the plan allows",
        one(f"{CLOUD}/rate/token_bucket.py", "        self._tokens -= 1.0\n", "        self._tokens -= 0.5\n"),
    ),
)
