"""What each write sends. In virtual time."""

import base64
from typing import Literal

import httpx
import pytest

from fleetos.cloud.client import CloudClient
from fleetos.engine.protocols import Cloud
from fleetos.limits import PASSWORDS_HIDDEN
from fleetos.model.inventory import Undelivered
from fleetos.model.run import Order, Secrets
from tests.support.clouds.scripted import (
    PROJECT,
    Answer,
    ScriptedCloud,
    answer,
    with_cloud,
)

JOB = answer(200, {"job_id": "ff80"})


def test_it_is_what_the_engine_asks_for() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        needed: Cloud = client
        assert needed.read_rate_per_s() == 5.0

    with_cloud(JOB, then=then)


def test_power_calls_name_their_servers() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        for call in ("soft", "hard", "start"):
            permit = client.permit()
            assert permit is not None
            if call == "start":
                await client.start(["a", "b"], permit=permit, last_check=lambda: None)
            else:
                await client.stop(["a", "b"], hard=call == "hard", permit=permit, last_check=lambda: None)
        named = [{"id": "a"}, {"id": "b"}]
        assert [one.body for one in cloud.calls] == [
            {"os-stop": {"type": "SOFT", "servers": named}},
            {"os-stop": {"type": "HARD", "servers": named}},
            {"os-start": {"servers": named}},
        ]
        assert {(one.method, one.path) for one in cloud.calls} == {("POST", f"/v1/{PROJECT}/cloudservers/action")}
        assert client.requests == {"token": 1, "stop": 2, "start": 1}

    with_cloud(JOB, then=then)


@pytest.mark.parametrize("count", [0, 1001])
def test_a_power_call_of_a_wrong_size_does_not_leave(count: int) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        permit = client.permit()
        assert permit is not None
        ids = [f"s{number}" for number in range(count)]
        assert isinstance(await client.stop(ids, hard=False, permit=permit, last_check=lambda: None), Undelivered)
        assert cloud.calls == []
        with pytest.raises(ValueError, match="permit"):
            await client.stop(["a"], hard=False, permit=permit, last_check=lambda: None)

    with_cloud(JOB, then=then)


@pytest.mark.parametrize(
    ("order", "secrets", "stop_first", "path", "change"),
    [
        (Order("i", "n", "v2"), Secrets(), False, "v2", {"imageid": "i"}),
        (Order("i", "n", "v1"), Secrets(), True, "v1", {"imageid": "i", "mode": "withStopServer"}),
        (
            Order("i", "n", "v2", keyname="k"),
            Secrets(),
            False,
            "v2",
            {"imageid": "i", "keyname": "k", "userid": "user-1"},
        ),
        (
            Order("i", "n", "v2", keyname="k", userid="other"),
            Secrets(),
            False,
            "v2",
            {"imageid": "i", "keyname": "k", "userid": "other"},
        ),
        (Order("i", "n", "v2", userid="other"), Secrets(), False, "v2", {"imageid": "i"}),
        (
            Order("i", "n", "v2", metadata={"BYOL": "true", "__system__encrypted": "1", "__system__cmkid": "c"}),
            Secrets(adminpass="Pass-1234", user_data=b"#cloud-config\n"),
            False,
            "v2",
            {
                "imageid": "i",
                "adminpass": "Pass-1234",
                "metadata": {
                    "BYOL": "true",
                    "__system__encrypted": "1",
                    "__system__cmkid": "c",
                    "user_data": base64.b64encode(b"#cloud-config\n").decode(),
                },
            },
        ),
    ],
)
def test_a_change_sends_every_field_of_its_order(
    order: Order, secrets: Secrets, stop_first: bool, path: str, change: dict[str, object]
) -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        permit = client.permit()
        assert permit is not None
        await client.change_os("s1", order, secrets, stop_first=stop_first, permit=permit, last_check=lambda: None)
        assert cloud.calls[0].path == f"/{path}/{PROJECT}/cloudservers/s1/changeos"
        assert cloud.calls[0].body == {"os-change": change}

    with_cloud(JOB, then=then)


@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize("stop_first", [True, False])
def test_a_reinstall_names_no_image(api: Literal["v1", "v2"], stop_first: bool) -> None:
    order = Order("i", "n", api, keyname="k", metadata={"BYOL": "true"}, reinstall=True)
    data = b"#cloud-config\n" if api == "v2" else None

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        permit = client.permit()
        assert permit is not None
        secrets = Secrets(user_data=data)
        await client.change_os("s1", order, secrets, stop_first=stop_first, permit=permit, last_check=lambda: None)
        assert cloud.calls[0].path == f"/{api}/{PROJECT}/cloudservers/s1/reinstallos"
        told = {"BYOL": "true"} if data is None else {"BYOL": "true", "user_data": base64.b64encode(data).decode()}
        mode = {"mode": "withStopServer"} if stop_first else {}
        assert cloud.calls[0].body == {"os-reinstall": {"keyname": "k", "userid": "user-1", "metadata": told, **mode}}
        assert client.requests == {"token": 1, "reinstallos": 1}

    with_cloud(JOB, then=then)


def test_user_data_is_never_dropped_in_silence() -> None:
    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        permit = client.permit()
        assert permit is not None
        reply = await client.change_os(
            "s1",
            Order("i", "n", "v1"),
            Secrets(user_data=b"x"),
            stop_first=False,
            permit=permit,
            last_check=lambda: None,
        )
        assert reply == Undelivered("user data needs v2 of the call")
        assert cloud.calls == []

    with_cloud(JOB, then=then)


def test_the_last_passwords_are_kept_out_of_what_the_cloud_says() -> None:
    sent = [f"Pw-{number * 7919 + 100000}-xyz" for number in range(PASSWORDS_HIDDEN + 1)]

    def job(request: httpx.Request) -> Answer:
        del request
        return answer(200, {"status": "FAIL", "fail_reason": " ".join(sent)})

    async def then(client: CloudClient, cloud: ScriptedCloud) -> None:
        # The first is used once more, so the second is the oldest.
        for password in (*sent[:-1], sent[0], sent[-1]):
            client.hide(password)
        told = await client.job("j")
        assert told is not None
        assert told.fail_reason is not None
        assert [password for password in sent if password in told.fail_reason] == [sent[1]]

    with_cloud(job, then=then)
