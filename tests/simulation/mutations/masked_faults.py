"""Faults behind which another rule of the protocol stands: no world shows them, tests of the rules do."""

from collections.abc import Sequence

from tests.simulation.mutations.shared_patches import UnitTestedFault, unit_tested

SIGHTINGS, INSPECTING = "fleetos/engine/observations.py", "fleetos/rules/states/inspecting.py"
WHY_NOT = "fleetos/rules/admission/why_not.py"

MASKED_FAULTS: Sequence[UnitTestedFault] = (
    unit_tested(
        "look-before-stop",
        "a look from before a stop counts after it",
        (
            SIGHTINGS,
            "            return TargetObservations(self.entered_at, now)\n        if isinstance(event, PowerAnswered)",
            "            return self\n        if isinstance(event, PowerAnswered)",
        ),
        "it shows a server that runs, and a stop is over by its job or by looks that show it stopped",
        "tests/unit/engine/test_observations.py",
    ),
    unit_tested(
        "look-before-answer",
        "a look from before a stop has ended counts after it",
        (
            SIGHTINGS,
            "PowerOutcome.ACCEPTED):\n            return TargetObservations(self.entered_at, now)",
            "PowerOutcome.ACCEPTED):\n            return self",
        ),
        "a stop is over by its job or by looks that show its server stopped",
        "tests/unit/engine/test_observations.py",
    ),
    unit_tested(
        "list-is-evidence",
        "a page of the list is evidence for an unknown outcome",
        (SIGHTINGS, "if state is TargetState.INSPECTING and not observation.single:", "if False:"),
        "whoever is inspected is read alone, and comes along in no sweep",
        "tests/unit/engine/test_observations.py",
    ),
    unit_tested(
        "sleep-is-no-gap",
        "a machine that slept counts as one that looked",
        ("fleetos/rules/observation.py", " or slept_s > SUSPEND_NOTICED_S:", ":"),
        "whoever slept for long has a gap in its looks as well",
        "tests/unit/rules/states/test_inspecting.py::test_the_settle_starts_anew_after_a_suspend",
    ),
    unit_tested(
        "late-look-counts",
        "a look that was asked for before a move counts after it",
        (
            SIGHTINGS,
            "        if observation.requested.elapsed_s < self.since.elapsed_s:\n            return self\n",
            "",
        ),
        "a verdict needs a second look or a settle, and a send a look of the last minute",
        "tests/unit/engine/test_tracker.py::test_a_look_that_was_asked_for_before_the_move_does_not_count",
    ),
    unit_tested(
        "old-log-counts",
        "what the cloud's log said counts for a later series of looks",
        (
            SIGHTINGS,
            "        return after if same_series else replace(after, traces=None, traces_read_at=None)\n",
            "        return after\n",
        ),
        "the log is asked when a settle is over, and the verdict follows with the next look",
        "tests/unit/engine/test_observations.py::test_what_the_log_said_counts_with_the_looks_that_it_was_asked_for_and_no_others",
    ),
    unit_tested(
        "verified-by-disk",
        "a server with an unknown outcome is verified whatever image its new disk has",
        (
            INSPECTING,
            "        and shows_ordered_image(target, attempt, snapshot)\n        and snapshot.running\n    ):\n",
            "        and snapshot.running\n    ):\n",
        ),
        "the verification asks for the image once more",
        "tests/unit/rules/states/test_inspecting.py::test_row_changed_is_the_only_verdict_before_the_settle_ends",
    ),
    unit_tested(
        "resent-when-aborted",
        "an inspection ends in a repetition though the run was aborted",
        (
            INSPECTING,
            "    if context.run_finishing:\n        return abort_target(target, snapshot)\n    if attempt.resends",
            "    if attempt.resends",
        ),
        "a server that is ready ends with the run before anything is sent",
        "tests/unit/rules/states/test_inspecting.py::test_row_baseline_of_an_aborted_run_is_cancelled_and_started_again",
    ),
    unit_tested(
        "log-of-any-time",
        "a change in the cloud's log is ours whenever it began",
        (
            "fleetos/rules/action_log.py",
            "    return change.end if -TRACE_SKEW_S <= late_s <= sending_s + context.settle_s else None\n",
            "    return change.end\n",
        ),
        "the log is asked for what came since the send, and nobody else in a world uses our login",
        "tests/unit/rules/test_action_log.py::test_only_what_began_while_the_request_could_arrive_is_ours",
    ),
    unit_tested(
        "log-without-looks",
        "what the cloud's log says is believed without a look after it",
        (INSPECTING, "    if action_log.observed_since_s(series, context) < enough_s:\n", "    if False:\n"),
        "a whole settle of looks that bear it out has gone before",
        "tests/unit/rules/test_action_log.py::test_a_change_that_failed_by_the_log_is_used_up_after_the_settle_and_two_equal_looks",
    ),
    unit_tested(
        "log-not-heeded",
        "a change is sent again whatever the cloud's log says",
        (INSPECTING, "    if context.traces.words:\n", "    if False:\n"),
        "what a log tells of is seen at the server too before a settle is over, in all but very few worlds",
        "tests/unit/rules/states/test_inspecting.py::test_row_baseline_traces_forbid_a_resend",
    ),
    unit_tested(
        "any-error-is-ours",
        "a server in an error is changed though no change of ours has failed on it",
        (
            "fleetos/rules/states/ready.py",
            "    return snapshot.in_error and failed_before\n",
            "    return snapshot.in_error\n",
        ),
        "its disk is still the one that was frozen, so that no judge of disks objects",
        "tests/unit/rules/test_decide_disk.py::test_an_error_is_ours_to_change_only_after_a_failed_change",
    ),
    unit_tested(
        "any-2xx-is-accepted",
        "an answer 2xx without a job counts as accepted",
        (
            "fleetos/model/codes.py",
            "    if 200 <= reply.status < 300 and reply.job_id:\n",
            "    if 200 <= reply.status < 300:\n",
        ),
        "where there is no job the server is looked at and, if it does not change, inspected",
        "tests/unit/model/test_codes.py::test_a_code_with_its_documented_status_proves_its_class",
    ),
    unit_tested(
        "lease-not-asked",
        "a write leaves whether or not the lease was renewed within its term",
        ("fleetos/engine/engine.py", "        if not self._journal.lease_valid(now):\n", "        if False:\n"),
        "the commit of its intent has proven the lease, and no intent older than five seconds is sent",
        "tests/unit/engine/test_engine_trouble.py::test_a_write_without_a_valid_lease_is_not_sent_and_the_target_is_ready_again",
    ),
    unit_tested(
        "broken-is-not-out",
        "a server whose change has failed counts as one that serves until somebody looks",
        ("fleetos/rules/groups.py", "    if _is_broken(target) and not seen_since:\n", "    if False:\n"),
        "an attempt counts as failed only after looks at its server, and these show that it does not serve",
        "tests/unit/rules/test_groups.py::test_why_a_server_is_out",
    ),
    unit_tested(
        "window-asked-at-last-check-alone",
        "once a server is admitted, its window is asked for at the last check before a request alone",
        (WHY_NOT, "    ((_A, _E, _S), _closed),\n", "    ((_A,), _closed),\n"),
        "the last check keeps each request back, so that the server only waits at another place",
        "tests/unit/rules/admission/test_why_not.py::test_each_reason_holds_at_its_points",
    ),
    unit_tested(
        "last-check-asks-no-window",
        "the last check before a request asks for no window",
        (WHY_NOT, "rules = (_off_clock, _unreadable, _blackout, _closed)", "rules = ()"),
        "whoever decides asks too, and what is decided is sent within seconds",
        "tests/unit/engine/test_engine_windows.py::test_the_last_check_before_a_request_knows_the_window",
    ),
)
