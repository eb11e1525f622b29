"""Further faults, one for each rule of the protocol; whichever checker sees them first. They are hunted on demand."""

from collections.abc import Sequence

from tests.simulation.mutations.parts import one
from tests.simulation.mutations.patches import Mutation, Patch

INSPECTING = "fleetos/rules/inspecting.py"
_ANY = ",".join(f"I{number}" for number in range(1, 15))


def _f(name: str, told: str, path: str, old: str, new: str) -> Mutation:
    return Mutation(name, _ANY, told, one(path, old, new))


FURTHER: Sequence[Mutation] = (
    _f(
        "no-effect-at-once",
        "a job without an effect is believed at the first look",
        "fleetos/rules/ended.py",
        ("        return max(context.settle_s, context.settings.start_timeout_s)\n    return context.settle_s\n"),
        ("        return max(context.settle_s, context.settings.start_timeout_s)\n    return 0.0\n"),
    ),
    _f(
        "login-repeats-write",
        "a write that is refused for its token is sent again with a new one",
        "fleetos/cloud/session.py",
        ("                answer = await self._transport.send(outgoing)\n            except NotSent"),
        (
            "                answer = await self._transport.send(outgoing)\n"
            "                if answer.status == 401:\n"
            "                    answer = await self._transport.send(outgoing)\n"
            "            except NotSent"
        ),
    ),
    Mutation(
        "logs-not-asked",
        _ANY,
        "the cloud's logs are not asked before a change is sent again",
        (
            Patch(
                INSPECTING,
                "    if context.traces is None:\n"
                "        return (action_log.ask(attempt, context), *_look_on(context))\n",
                "",
            ),
            Patch(INSPECTING, "    if context.traces.words:\n", "    if context.traces and context.traces.words:\n"),
        ),
    ),
    _f(
        "logs-not-heeded",
        "a change is sent again whatever the cloud's logs say",
        INSPECTING,
        "    if context.traces.words:\n",
        "    if False:\n",
    ),
    _f(
        "sent-without-end",
        "rules and law alike send one attempt as often as it stays unanswered",
        INSPECTING,
        "    if attempt.resends >= MAX_RESENDS:\n",
        "    if attempt.resends >= 9:\n",
    ),
    _f(
        "stopped-at-first-sight",
        "a stop counts as over as soon as the server is seen stopped",
        "fleetos/rules/power.py",
        "    if final or watch.same_s() >= context.short(STOP_QUIET_S):\n",
        "    if True:\n",
    ),
    _f(
        "code-without-status",
        "a known code is believed under any status",
        "fleetos/model/codes.py",
        "    if known is None or not documented:\n",
        "    if known is None:\n",
    ),
    _f(
        "unknown-code-is-refusal",
        "a code that nobody knows is a refusal",
        "fleetos/model/codes.py",
        ("    if known is None or not documented:\n        return AnswerClass.AMBIGUOUS, None\n"),
        ("    if known is None or not documented:\n        return AnswerClass.LATER, None\n"),
    ),
    _f(
        "locked-is-sent",
        "a locked server is changed",
        "fleetos/rules/steps.py",
        "    if seen.locked:\n",
        "    if False:\n",
    ),
    _f(
        "wait-not-kept",
        "a refused change is sent again without its wait",
        "fleetos/rules/steps.py",
        (
            "    if target.not_before is not None and target.not_before > context.now.wall:\n"
            "        return (Wait(context.due(target.not_before)),)\n"
            "    # Nobody"
        ),
        "    # Nobody",
    ),
    _f(
        "pending-for-ever",
        "a stop whose process died stays pending",
        "fleetos/engine/ring.py",
        "                books.write(turn, power_forgotten(target, call))\n",
        "                pass\n",
    ),
    _f(
        "slots-at-admission",
        "a free slot is asked for at the admission alone",
        "fleetos/engine/sending.py",
        ("            if turn.slots_taken >= turn.run.settings.concurrency:\n                break\n"),
        "",
    ),
    _f(
        "unanswered-not-counted",
        "a lost answer is not remembered",
        "fleetos/model/fold.py",
        "                attempt = replace(attempt, unanswered=attempt.unanswered + 1)\n",
        "",
    ),
)
