"""The deliberate faults: what a client that is less careful would do. Each names the invariant that must find it."""

from collections.abc import Sequence

from tests.simulation.mutations.patches import Mutation, Patch

_ENGINE, _RULES, _CLOUD = "fleetos/engine", "fleetos/rules", "fleetos/cloud"
_FOLD = "fleetos/model/fold.py"
# Parts of several faults.
_AGAIN_AT_ONCE = Patch(
    f"{_RULES}/answers.py",
    "TargetState.INSPECTING, answer=str(AnswerClass.AMBIGUOUS), detail=detail",
    "TargetState.READY, answer=str(AnswerClass.AMBIGUOUS), detail=detail",
)
_NO_SETTLE = Patch(
    f"{_ENGINE}/books.py", "settle_s=max(run.settings.settle_s, 2 * self.longest_change_s)", "settle_s=0.0"
)
_NOT_SENT = Patch(f"{_CLOUD}/transport.py", "return type(told)(told.message)", "return NotSent(told.message)")
_NO_DISK_RULE = (
    Patch(f"{_RULES}/steps.py", "    if seen.disk != target.disk:\n", "    if False:\n"),
    Patch(_FOLD, "event.before.disk is None or event.before.disk != target.disk", "event.before.disk is None"),
)


def _one(path: str, old: str, new: str) -> tuple[Patch, ...]:
    return (Patch(path, old, new),)


_SENDING = (
    Mutation(
        "sent-before-commit",
        "I5",
        "writes leave before their intents are durable",
        _one(
            f"{_ENGINE}/drive.py",
            """\
            await self._commit(turn)
            for write in writes:
                self._on_the_wire += 1
                tasks.start_soon(self._write, write)
""",
            """\
            for write in writes:
                self._on_the_wire += 1
                tasks.start_soon(self._write, write)
            await self._commit(turn)
""",
        ),
    ),
    Mutation(
        "write-repeated",
        "I5",
        "a write whose answer was lost is sent once more by the transport",
        _one(
            f"{_CLOUD}/transport.py",
            "                return await _exchange(way, outgoing, secrets)\n",
            """\
                try:
                    return await _exchange(way, outgoing, secrets)
                except AnswerLost:
                    return await _exchange(way, outgoing, secrets)
""",
        ),
    ),
    Mutation(
        "reset-is-not-sent",
        "I1",
        "a lost answer counts as a request that never left",
        (_NOT_SENT,),
    ),
    Mutation(
        "resumed-without-looking",
        "I1",
        "a send whose process died is sent again without an inspection",
        (_AGAIN_AT_ONCE,),
    ),
    Mutation(
        "resumed-blindly",
        "I2",
        "a send whose process died is sent again, whatever disk is there by then",
        (_AGAIN_AT_ONCE, *_NO_DISK_RULE),
    ),
    Mutation(
        "no-settle",
        "I1",
        "an unknown outcome is believed after one look",
        (_NO_SETTLE,),
    ),
    Mutation(
        "lost-job-is-failure",
        "I12",
        "a change whose job the cloud does not know has failed",
        _one(
            f"{_RULES}/answers.py",
            "        accepted = attempt.accepted_at or attempt.sent_at\n",
            """\
        from fleetos.model.events import AttemptEnded
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
        "a server that lies stopped while its OS changes is started",
        _one(
            f"{_RULES}/ended.py",
            "    overdue = _overdue(target, attempt, context)\n",
            """\
    if context.watch is None:
        return (Look(context.now.elapsed_s),)
    if context.watch.picture is not None and context.watch.picture.stopped:
        return Write((Moved(target.server_id, TargetState.STARTING),))
    overdue = _overdue(target, attempt, context)
""",
        ),
    ),
)

_DISKS = (
    Mutation(
        "reset-wipes-again",
        "I2",
        "a lost answer counts as a request that never left, and whatever disk is there by then may be wiped",
        (_NOT_SENT, *_NO_DISK_RULE),
    ),
    Mutation(
        "job-is-proof",
        "I12",
        "a job that succeeded is proof of a change, and nobody looks",
        _one(
            f"{_RULES}/ended.py",
            "    if disk is Disk.NEW and ours and succeeded and seen.running:\n",
            "    if succeeded:\n",
        ),
    ),
    Mutation(
        "stops-are-forgotten",
        "I12",
        "nobody remembers which servers were stopped",
        _one(
            _FOLD,
            'stopped_at = (target.stopped_at or at) if event.verb == "stop" else target.stopped_at',
            "stopped_at = target.stopped_at",
        ),
    ),
)

_ROLLOUT = (
    Mutation(
        "one-slot-too-many",
        "I3",
        "one more server is admitted than may change at once",
        _one(
            f"{_RULES}/schedule.py",
            "slots_taken + len(moves) < run.settings.concurrency",
            "slots_taken + len(moves) <= run.settings.concurrency",
        ),
    ),
    Mutation(
        "inspecting-holds-no-slot",
        "I3",
        "a server with an unknown outcome gives its slot back",
        _one(
            f"{_ENGINE}/turn.py",
            "return sum([self._counts.get(state, 0) for state in HOLDS_SLOT])",
            'return sum([self._counts.get(state, 0) for state in HOLDS_SLOT if state != "inspecting"])',
        ),
    ),
    Mutation(
        "abort-admits",
        "I4",
        "an aborted run admits those who wait",
        (
            Patch(f"{_RULES}/schedule.py", "    if run.state is not RunState.RUNNING:\n        return moves\n", ""),
            Patch(
                f"{_RULES}/steps.py",
                "    if context.finishing:\n        return aborted(target, None)\n    return ()\n",
                "    return ()\n",
            ),
        ),
    ),
    Mutation(
        "overdue-for-ever",
        "I7",
        "a change that does not end is waited for without a bound",
        _one(
            f"{_RULES}/ended.py",
            "    if late_s > context.settings.change_timeout_s and context.here_s >= context.settle_s:\n",
            "    if False:\n",
        ),
    ),
)

_JOURNAL = (
    Mutation(
        "target-not-stored",
        "I6",
        "of several targets that one turn changed, one is not stored",
        _one(
            f"{_ENGINE}/drive.py",
            "self._journal.append(turn.run, turn.events, changed, turn.at, turn.answered)",
            "self._journal.append(turn.run, turn.events, changed[:1], turn.at, turn.answered)",
        ),
    ),
    Mutation(
        "record-left-out",
        "I6",
        "of several records of one turn, the first is not written",
        _one(
            f"{_ENGINE}/drive.py",
            "self._journal.append(turn.run, turn.events, changed, turn.at, turn.answered)",
            "self._journal.append(turn.run, turn.events[1:] or turn.events, changed, turn.at, turn.answered)",
        ),
    ),
    Mutation(
        "epoch-not-asked",
        "I11",
        "a commit does not ask whether somebody else has taken the run over",
        _one("fleetos/store/memory.py", "        if self._store.epoch != self._epoch:\n", "        if False:\n"),
    ),
    Mutation(
        "no-last-check",
        "I11",
        "nothing is asked in the moment before a write leaves",
        _one(
            f"{_ENGINE}/perform.py",
            "        reply = await self._send(action, last_check)\n",
            "        reply = await self._send(action, lambda: None)\n",
        ),
    ),
)

_CLOUD_SIDE = (
    Mutation(
        "told-secrets",
        "I8",
        "the cloud's words are kept as they are, secrets and all",
        _one(f"{_CLOUD}/errors.py", "blotted(letters, secrets)[: 4 * MESSAGE_CHARS]", "letters[: 4 * MESSAGE_CHARS]"),
    ),
    Mutation(
        "refused-scope-stays-open",
        "I10",
        "after a 429 others go on sending",
        _one(
            f"{_CLOUD}/throttle.py",
            "self._open_at_s = max(self._open_at_s, now_s + wait_s)",
            "self._open_at_s = max(self._open_at_s, now_s)",
        ),
    ),
    Mutation(
        "half-a-token",
        "I10",
        "requests leave at twice the rate that the plan allows",
        _one(f"{_CLOUD}/throttle.py", "        self._tokens -= 1.0\n", "        self._tokens -= 0.5\n"),
    ),
)

MUTATIONS: Sequence[Mutation] = (*_SENDING, *_DISKS, *_ROLLOUT, *_JOURNAL, *_CLOUD_SIDE)
