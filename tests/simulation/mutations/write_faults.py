"""Faults in what is sent, when, and what is thought of it afterwards."""

from tests.simulation.mutations.patches import Mutation, Patch
from tests.simulation.mutations.shared_patches import (
    AGAIN_AT_ONCE,
    CLOUD,
    ENGINE,
    FOLD,
    NO_DISK_RULE,
    NO_SETTLE,
    NOT_SENT,
    RULES,
    one,
)

SENDING = (
    Mutation(
        "sent-before-commit",
        "I5",
        "writes leave before their intents are durable",
        one(
            f"{ENGINE}/engine.py",
            """\
                await self._commit(turn)
                for write in writes:
                    self._writes_in_flight += 1
                    tasks.start_soon(self._performer.perform, write)
""",
            """\
                for write in writes:
                    self._writes_in_flight += 1
                    tasks.start_soon(self._performer.perform, write)
                await self._commit(turn)
""",
        ),
    ),
    Mutation(
        "write-repeated",
        "I5",
        "a write whose answer was lost is sent once more by the transport",
        one(
            f"{CLOUD}/http/transport.py",
            """\
                httpx_response = await transport.handle_async_request(_httpx_request(request))
                response = await _read_response(httpx_response, request.answer_bytes, secrets)
""",
            """\
                try:
                    httpx_response = await transport.handle_async_request(_httpx_request(request))
                    response = await _read_response(httpx_response, request.answer_bytes, secrets)
                except AnswerLost:
                    httpx_response = await transport.handle_async_request(_httpx_request(request))
                    response = await _read_response(httpx_response, request.answer_bytes, secrets)
""",
        ),
    ),
    Mutation(
        "reset-is-not-sent",
        "I1",
        "a lost answer counts as a request that never left",
        (NOT_SENT,),
    ),
    Mutation(
        "resumed-without-looking",
        "I1",
        "a send whose process died is sent again without an inspection",
        (AGAIN_AT_ONCE,),
    ),
    Mutation(
        "resumed-blindly",
        "I2",
        "a send whose process died is sent again, whatever disk is there by then",
        (AGAIN_AT_ONCE, *NO_DISK_RULE),
    ),
    Mutation(
        "no-settle",
        "I1",
        "an unknown outcome is believed after one look",
        (NO_SETTLE,),
    ),
    Mutation(
        "one-attempt-more",
        "I1",
        "rules and law alike allow one attempt more than the plan",
        (
            Patch(f"{RULES}/outcomes.py", "if used < target.attempts_allowed:", "if used <= target.attempts_allowed:"),
            Patch(FOLD, ">= target.attempts_allowed:", "> target.attempts_allowed:"),
        ),
    ),
    Mutation(
        "lost-job-is-failure",
        "I12",
        "a change whose job the cloud does not know has failed",
        one(
            f"{RULES}/replies.py",
            "        accepted = attempt.accepted_at or attempt.sent_at\n",
            """\
        from fleetos.model.journal.events import AttemptEnded
        from fleetos.model.run import Outcome

        reason, disk = Reason.ATTEMPTS_USED_UP, attempt.before.disk
        held = TargetState.HELD
        return (AttemptEnded(target.server_id, attempt.number, Outcome.FAILED, held, disk=disk, reason=reason),)
""",
        ),
    ),
    Mutation(
        "started-while-changing",
        "I9",
        "a server that is powered off while its OS changes is started",
        one(
            f"{RULES}/states/changing.py",
            "    overdue = _check_deadline(target, attempt, context)\n",
            """\
    if context.series is None:
        return (ReadServerNeed(context.now.elapsed_s),)
    if context.series.snapshot is not None and context.series.snapshot.stopped:
        return WriteEvents((Moved(target.server_id, TargetState.STARTING),))
    overdue = _check_deadline(target, attempt, context)
""",
        ),
    ),
)

POWER = (
    Mutation(
        "stopped-after-unanswered",
        "I9",
        "a server with an unanswered send is stopped like any other",
        one(
            "fleetos/rules/states/ready.py",
            "    young = last is not None and (context.now.wall - last).total_seconds() < NO_STOP_AFTER_UNANSWERED_S\n",
            "    young = last is not None and (context.now.wall - last).total_seconds() < 0.0\n",
        ),
    ),
    Mutation(
        "put-back-after-unanswered",
        "I9",
        "a changed server is stopped again as it was before, though an earlier send was never answered",
        one(
            f"{RULES}/states/verifying.py",
            "            not_before = last + timedelta(seconds=NO_STOP_AFTER_UNANSWERED_S)\n",
            "            not_before = last + timedelta(seconds=1)\n",
        ),
    ),
    Mutation(
        "started-while-inspecting",
        "I9",
        "a server with an unknown outcome is started as soon as it is seen stopped",
        one(
            f"{RULES}/states/inspecting.py",
            "    if snapshot.changing and not never_asked:\n        return adopt(target, attempt, series)\n",
            """\
    if snapshot.stopped and not target.started:
        return start_once(target, snapshot)
    if snapshot.changing and not never_asked:
        return adopt(target, attempt, series)
""",
        ),
    ),
)
