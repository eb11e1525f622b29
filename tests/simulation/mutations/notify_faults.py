"""Faults of notifications, which no world sends, and the tests beside the code that find them."""

from collections.abc import Sequence

from tests.simulation.mutations.shared_patches import UnitTestedFault, unit_tested

NOTIFIER, NOTIFIER_TESTS = "fleetos/notify/notifier.py", "tests/unit/notify/test_notifier.py"
_NOBODY_IS_TOLD = "no world notifies anybody"

NOTIFY_FAULTS: Sequence[UnitTestedFault] = (
    unit_tested(
        "failed-is-sent",
        "a notification that was never taken is recorded as sent",
        (NOTIFIER, '    outcome = "sent" if delivery.failure is None else "failed"\n', '    outcome = "sent"\n'),
        _NOBODY_IS_TOLD,
        f"{NOTIFIER_TESTS}::test_the_tries_end",
    ),
    unit_tested(
        "owed-is-forgotten",
        "what a killed driver had not sent is not sent by the next one",
        (NOTIFIER, "            outbox.put_first(owed, ", "            outbox.put_first([], "),
        _NOBODY_IS_TOLD,
        f"{NOTIFIER_TESTS}::test_what_is_late_in_a_run_that_goes_on_is_left_to_the_next_process",
    ),
    unit_tested(
        "told-again",
        "each driver tells everything from the beginning",
        (NOTIFIER, "set(_told(records, outbox.destination.number))", "set()"),
        _NOBODY_IS_TOLD,
        f"{NOTIFIER_TESTS}::test_what_was_told_is_not_told_again_and_what_is_owed_comes_first",
    ),
    unit_tested(
        "waits-for-its-receivers",
        "a driver waits at the end until all is sent, however long that takes",
        (NOTIFIER, "        with anyio.move_on_after(DRAIN_S):\n", "        with anyio.move_on_after(None):\n"),
        _NOBODY_IS_TOLD,
        f"{NOTIFIER_TESTS}::test_a_receiver_that_hangs_holds_up_neither_the_others_nor_the_end",
    ),
    unit_tested(
        "defect-ends-the-run",
        "an error of a service ends the rollout",
        (
            NOTIFIER,
            "except Exception as error:  # noqa: BLE001 - no defect here, nor in a library",
            "except OSError as error:  # no defect here, nor in a library",
        ),
        _NOBODY_IS_TOLD,
        f"{NOTIFIER_TESTS}::test_a_message_is_tried_again_with_longer_and_longer_waits_and_one_id",
    ),
    unit_tested(
        "redirect-followed",
        "a webhook may send a message on to another host",
        ("fleetos/notify/webhook.py", "follow_redirects=False", "follow_redirects=True"),
        _NOBODY_IS_TOLD,
        "tests/unit/notify/test_webhook.py::test_an_answer_ends_the_tries_or_asks_for_another",
    ),
    unit_tested(
        "plain-http-to-anywhere",
        "a webhook may be plain http to another machine",
        ("fleetos/notify/destination.py", '    if scheme == "http" and not is_loopback(host):\n', "    if False:\n"),
        _NOBODY_IS_TOLD,
        "tests/unit/notify/test_destination.py::test_what_cannot_be_a_receiver_is_said_without_it",
    ),
)
