"""Faults in what a request says and to whom it goes, and in what a verdict rests on."""

from tests.simulation.mutations.patches import Mutation
from tests.simulation.mutations.shared_patches import CLOUD, ENGINE, PLANNING, RULES, one

_OF_ANOTHER = "turn.target(next(iter(self._tracker.progress.targets))).order"

CONTENT = (
    Mutation(
        "order-of-another",
        "I13",
        "a server is sent what the first of the run was to get",
        one(
            f"{ENGINE}/sender.py",
            "SubmitChange(server_id, number, target.order, stop_first,",
            f"SubmitChange(server_id, number, {_OF_ANOTHER}, stop_first,",
        ),
    ),
    Mutation(
        "secrets-of-another",
        "I13",
        "a server is sent the password and the user data of the first of the run",
        one(
            f"{ENGINE}/sender.py",
            "self._secrets.resolve(target.order)",
            f"self._secrets.resolve({_OF_ANOTHER})",
        ),
    ),
    Mutation(
        "one-password-for-all",
        "I13",
        "a password that was read once is taken for every other variable",
        one(
            f"{PLANNING}/secrets.py",
            '        password = read_secret(ref, self._env, "a password")\n',
            '        password = read_secret(ref, self._env, "a password")\n'
            '        if ref.kind == "env":\n'
            '            password = self.__dict__.setdefault("_first", password)\n',
        ),
    ),
    Mutation(
        "one-order-for-all",
        "I13",
        "the order of the first server of a plan is that of all others",
        one(
            f"{PLANNING}/preflight/orders.py",
            "        key = (id(spec), server.snapshot.likely_image if change.reinstall else None)\n",
            "        key = (0, None)\n",
        ),
    ),
    Mutation(
        "api-by-default",
        "I13",
        "an image that says it has no cloud-init is changed by the call for those with it",
        one(f"{PLANNING}/preflight/orders.py", 'return "v1" if image.inject_flag == "true" else "v2"', 'return "v2"'),
    ),
    Mutation(
        "metadata-with-user-data-only",
        "I13",
        "what a plan says of the disk is sent only where there is user data",
        one(f"{CLOUD}/api/request_bodies.py", "    if metadata:\n", '    if "user_data" in metadata:\n'),
    ),
    Mutation(
        "user-data-kept-for-the-next",
        "I13",
        "the metadata of the plan is written into, so that a later server gets the user data of an earlier one",
        one(
            f"{CLOUD}/api/request_bodies.py",
            "    metadata = dict(order.metadata)\n",
            "    metadata = change_body.__dict__.setdefault(repr(order.metadata), dict(order.metadata))\n",
        ),
    ),
    Mutation(
        "owner-forgotten",
        "I13",
        "a key pair is sent without the user whose it is, where the plan names none",
        one(
            f"{CLOUD}/api/request_bodies.py",
            "if (owner := order.userid or user_id) is not None",
            "if owner := order.userid",
        ),
    ),
    Mutation(
        "stops-by-itself-always",
        "I13",
        "a change may stop its server by itself, whatever the plan says",
        one(f"{ENGINE}/sender.py", "stop_first = turn.run.settings.stop is StopMode.API", "stop_first = True"),
    ),
    Mutation(
        "hard-at-once",
        "I13",
        "a server is switched off though the plan only lets it be shut down",
        one(
            f"{RULES}/states/power.py",
            "harder = context.settings.stop is StopMode.SOFT_THEN_HARD and not any(call.hard for call in target.calls)",
            "harder = not any(call.hard for call in target.calls)",
        ),
    ),
    Mutation(
        "stopped-after-all",
        "I13",
        "a changed server that ran before is stopped at the end, as one that did not",
        one(f"{RULES}/states/verifying.py", ' and target.baseline.status == "SHUTOFF"\n', "\n"),
    ),
)

EVIDENCE = (
    Mutation(
        "gap-is-no-gap",
        "I14",
        "a series of looks goes on whatever time nobody looked",
        one(f"{RULES}/observation.py", "if gap_s > gap_max_s or slept_s > SUSPEND_NOTICED_S:", "if False:"),
    ),
    Mutation(
        "retried-after-a-poll",
        "I14",
        "a target with an unknown outcome is tried again after two equal looks",
        one(
            f"{RULES}/states/inspecting.py",
            "    enough_s = context.settle_s if unknown else context.settings.poll_max_s\n",
            "    enough_s = context.settings.poll_max_s\n",
        ),
    ),
    Mutation(
        "one-look-after-failure",
        "I14",
        "one look after a failed job is enough",
        one(
            f"{RULES}/states/verifying.py",
            "    if verdict in BY_TWO_READS:\n        return context.settings.poll_max_s\n",
            "    if verdict in BY_TWO_READS:\n        return 0.0\n",
        ),
    ),
)
