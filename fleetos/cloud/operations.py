"""Every API call that fleetos makes, and the permission it needs.

The permission pages of both clouds name the same actions for these calls (ECS API, "permissions and supported actions";
IMS API, "image management"; EVS API, "API actions"), as long as the policy is of version 1.1: the newer identity
policies of Huawei Cloud have other names for some of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Literal

Operation = Literal[
    "token", "projects", "versions", "list", "server", "job", "image", "keypair", "keypairs", "flavors", "limits",
    "disk-quota", "volumes", "actions", "action", "credential", "key", "enterprise-projects", "stop", "start",
    "changeos", "reinstallos",
]  # fmt: skip
Service = Literal["iam", "ecs", "ims", "evs", "kms", "eps"]


class Use(StrEnum):
    """Purpose of a call, and so the loss without it."""

    LOGIN = auto()  # the user and the project
    RUN = auto()  # without it there is no run
    KEY_PAIR = auto()  # without it no plan with a key pair
    NAMED = auto()  # without it the meaning of a name in a plan is unknown
    PREFLIGHT = auto()  # without it a plan is checked less
    EVIDENCE = auto()  # without it an unknown outcome is judged by the server alone
    CHANGE = auto()  # the effects; without them fleetos may only look
    REINSTALL = auto()  # the effect of plans with `reinstall: true`


# Calls that change something. Only making one shows whether it is allowed.
EFFECTS = frozenset({Use.CHANGE, Use.REINSTALL})


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of request."""

    service: Service
    method: Literal["GET", "POST"]
    path: str
    """The path, with placeholders in braces."""
    use: Use
    action: str | None = None
    """The IAM action that allows it; None: none is needed, or no page names one, as `note` says."""
    note: str | None = None
    trial_query: Mapping[str, str] = field(default_factory=dict[str, str])
    """The query that keeps a trial read small."""


_ONE = {"limit": "1"}
_SERVERS = "/v1/{project}/cloudservers"

CALLS: Mapping[Operation, Call] = {
    # Neither a token nor the list of versions needs a permission.
    "token": Call("iam", "POST", "/v3/auth/tokens", Use.LOGIN),
    "versions": Call("iam", "GET", "/", Use.LOGIN),
    "projects": Call(
        "iam",
        "GET",
        "/v3/projects",
        Use.LOGIN,
        "iam:projects:listProjects",
        "iam:projects:listProjects (inferred) is needed for an access key whose project is not given by its id; "
        "IAM is global, so it needs a policy of its own",
    ),
    "credential": Call(
        "iam",
        "GET",
        "/v3.0/OS-CREDENTIAL/credentials/{key}",
        Use.LOGIN,
        note="every user may ask for a key of his own; it is asked for an access key where a plan does not say whose "
        "a key pair is",
    ),
    "key": Call(
        "kms",
        "POST",
        "/v1.0/{project}/kms/describe-key",
        Use.NAMED,
        "kms:cmk:get",
        "kms:cmk:get is needed for a plan that names an encryption key, or an image that is encrypted; else it is not "
        "checked",
    ),
    "enterprise-projects": Call(
        "eps",
        "GET",
        "/v1.0/enterprise-projects",
        Use.NAMED,
        "eps:enterpriseProjects:list",
        "eps:enterpriseProjects:list is needed for a plan that selects by the name of an enterprise project; EPS is "
        "global, so it needs a policy of its own",
    ),
    "list": Call(
        "ecs", "GET", f"{_SERVERS}/detail", Use.RUN, "ecs:cloudServers:list", trial_query={**_ONE, "offset": "1"}
    ),
    "server": Call("ecs", "GET", f"{_SERVERS}/{{server}}", Use.RUN, "ecs:cloudServers:get"),
    "job": Call(
        "ecs",
        "GET",
        "/v1/{project}/jobs/{job}",
        Use.RUN,
        None,
        "no action is listed for it: any right to read servers is enough",
    ),
    "image": Call("ims", "GET", "/v2/cloudimages", Use.RUN, "ims:images:list", trial_query=_ONE),
    "keypair": Call("ecs", "GET", "/v2.1/{project}/os-keypairs/{name}", Use.KEY_PAIR, "ecs:serverKeypairs:get"),
    "keypairs": Call(
        "ecs",
        "GET",
        "/v2.1/{project}/os-keypairs",
        Use.NAMED,
        "ecs:serverKeypairs:list",
        "ecs:serverKeypairs:list (inferred) is needed to suggest others for a key pair that is not there",
    ),
    "flavors": Call("ecs", "GET", f"{_SERVERS}/flavors", Use.PREFLIGHT, "ecs:cloudServerFlavors:get"),
    "limits": Call("ecs", "GET", f"{_SERVERS}/limits", Use.PREFLIGHT, "ecs:cloudServerQuotas:get"),
    "disk-quota": Call(
        "evs",
        "GET",
        "/v2/{project}/os-quota-sets/{project}",
        Use.PREFLIGHT,
        "evs:quotas:get",
        trial_query={"usage": "True"},
    ),
    "volumes": Call(
        "evs", "GET", "/v2/{project}/cloudvolumes/detail", Use.PREFLIGHT, "evs:volumes:list", trial_query=_ONE
    ),
    "actions": Call(
        "ecs",
        "GET",
        "/v2.1/{project}/servers/{server}/os-instance-actions",
        Use.EVIDENCE,
        None,
        "no action is listed for the log of a server; it may be missing",
    ),
    "action": Call(
        "ecs",
        "GET",
        "/v2.1/{project}/servers/{server}/os-instance-actions/{request}",
        Use.EVIDENCE,
        None,
        "no action is listed for it; where it may not be read, a change of unknown outcome is not known to have failed",
    ),
    "stop": Call("ecs", "POST", f"{_SERVERS}/action", Use.CHANGE, "ecs:cloudServers:stop"),
    "start": Call("ecs", "POST", f"{_SERVERS}/action", Use.CHANGE, "ecs:cloudServers:start"),
    "changeos": Call(
        "ecs", "POST", "/{api}/{project}/cloudservers/{server}/changeos", Use.CHANGE, "ecs:cloudServers:changeOS"
    ),
    "reinstallos": Call(
        "ecs", "POST", "/{api}/{project}/cloudservers/{server}/reinstallos", Use.REINSTALL, "ecs:cloudServers:rebuild"
    ),
}
# Calls that may be tried to learn whether they are allowed, the most important first.
DRY_READS: Sequence[Operation] = (
    "list", "server", "job", "image", "keypair", "flavors", "limits", "disk-quota", "volumes", "actions",
)  # fmt: skip


def policy(*, reinstall: bool) -> dict[str, object]:
    """Return the minimal policy for a run, as a custom policy of IAM, with or without the reinstall of an OS.

    `policy_notes` names the permissions that only some plans need. Actions of IAM itself are left out: a policy is
    either for services of projects or for global services.
    """
    actions = [
        call.action
        for call in CALLS.values()
        if call.action is not None
        and call.service != "iam"
        and call.use is not Use.NAMED
        and (reinstall or call.use is not Use.REINSTALL)
    ]
    return {"Version": "1.1", "Statement": [{"Effect": "Allow", "Action": actions}]}


def policy_notes(*, reinstall: bool) -> Sequence[str]:
    """Return the notes on the policy, one sentence each."""
    actions = {operation: call.action for operation, call in CALLS.items()}
    change_actions = ", ".join(str(call.action) for call in CALLS.values() if call.use is Use.CHANGE)
    return (
        "it is the same on Open Telekom Cloud and Huawei Cloud, but for the newer identity policies of the latter",
        f"for somebody who may only look, leave out {change_actions}",
        *([] if reinstall else [f"a plan with reinstall: true needs {actions['reinstallos']} too"]),
        *(f"call {operation}: {call.note}" for operation, call in CALLS.items() if call.note is not None),
    )
