"""Further faults, one for each rule of the protocol; whichever checker sees them first. They are searched on demand."""

from collections.abc import Sequence

from tests.simulation.mutations.patches import Mutation, Patch
from tests.simulation.mutations.shared_patches import ANY, seen_by_any
from tests.simulation.mutations.wire_and_queue_faults import WIRE_AND_QUEUE_FAULTS

INSPECTING = "fleetos/rules/states/inspecting.py"

RULE_FAULTS: Sequence[Mutation] = (
    seen_by_any(
        "no-effect-at-once",
        "a job without an effect is believed at the first look",
        "fleetos/rules/states/verifying.py",
        ("        return max(context.settle_s, context.settings.start_timeout_s)\n    return context.settle_s\n"),
        ("        return max(context.settle_s, context.settings.start_timeout_s)\n    return 0.0\n"),
    ),
    seen_by_any(
        "login-repeats-write",
        "a write that is refused for its token is sent again with a new one",
        "fleetos/cloud/session.py",
        ("                response = await self._transport.send(request)\n            except NotSent"),
        (
            "                response = await self._transport.send(request)\n"
            "                if response.status == 401:\n"
            "                    response = await self._transport.send(request)\n"
            "            except NotSent"
        ),
    ),
    Mutation(
        "logs-not-asked",
        ANY,
        "the cloud's logs are not asked before a change is sent again",
        (
            Patch(
                INSPECTING,
                "    if context.traces is None or action_log.is_stale(context):\n"
                "        return (action_log.ask_for_traces(attempt, context), *_read_again(context))\n",
                "",
            ),
            Patch(INSPECTING, "    if context.traces.words:\n", "    if context.traces and context.traces.words:\n"),
        ),
    ),
    seen_by_any(
        "sent-without-end",
        "rules and law alike send one attempt as often as it stays unanswered",
        INSPECTING,
        "    if attempt.resends >= MAX_RESENDS:\n",
        "    if attempt.resends >= 9:\n",
    ),
    seen_by_any(
        "stopped-at-first-sight",
        "a stop counts as over as soon as the server is seen stopped",
        "fleetos/rules/states/power.py",
        "    if final or series.unchanged_s() >= context.cap_on_loopback_s(STOP_QUIET_S):\n",
        "    if True:\n",
    ),
    seen_by_any(
        "code-without-status",
        "a known code is believed under any status",
        "fleetos/model/codes.py",
        "    if known is None or not documented:\n",
        "    if known is None:\n",
    ),
    seen_by_any(
        "unknown-code-is-refusal",
        "a code that nobody knows is a refusal",
        "fleetos/model/codes.py",
        ("    if known is None or not documented:\n        return AnswerClass.AMBIGUOUS, None\n"),
        ("    if known is None or not documented:\n        return AnswerClass.LATER, None\n"),
    ),
    seen_by_any(
        "locked-is-sent",
        "a locked server is changed",
        "fleetos/rules/states/ready.py",
        "    if snapshot.locked:\n",
        "    if False:\n",
    ),
    seen_by_any(
        "wait-not-kept",
        "a refused change is sent again without its wait",
        "fleetos/rules/states/ready.py",
        (
            "    if target.not_before is not None and target.not_before > context.now.wall:\n"
            "        return (Wait(context.to_elapsed_s(target.not_before)),)\n"
            "    # A deleted"
        ),
        "    # A deleted",
    ),
    seen_by_any(
        "pending-for-ever",
        "a stop whose process died stays pending",
        "fleetos/engine/reconcile.py",
        "                tracker.write_event(turn, end_forgotten_power_call(target, call))\n",
        "                pass\n",
    ),
    seen_by_any(
        "slots-at-admission",
        "a free slot is asked for at the admission alone",
        "fleetos/engine/sender.py",
        ("            if turn.slots_taken >= turn.run.settings.concurrency:\n                break\n"),
        "",
    ),
    seen_by_any(
        "unanswered-not-counted",
        "a lost answer is not remembered",
        "fleetos/model/journal/fold.py",
        "                attempt = replace(attempt, unanswered=attempt.unanswered + 1)\n",
        "",
    ),
    *WIRE_AND_QUEUE_FAULTS,
)
