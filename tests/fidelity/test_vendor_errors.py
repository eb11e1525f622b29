"""The vendor's SDK and fleetos' own client read the same out of each error that the simulated cloud answers with."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from fleetos.cloud.client import CloudClient
from fleetos.model.inventory import Delivered
from fleetos.sim.scenario.faults import Form
from tests.fidelity.relay import Relay
from tests.fidelity.sim_process import permit
from tests.fidelity.vendor import Vendor, ecs, exceptions, login
from tests.support.commands import CommandRunner

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning:huaweicloudsdkcore")
SERVER = "8d1c66b0-9d2b-4b4c-9d55-4a1d7ef51111"
# What the SDK makes of a body without a code: the status, as a text. fleetos says that there is no code.
NO_CODE = frozenset({"html", "plain", "empty"})


@pytest.fixture
def cloud(wire: Relay, tmp_path: Path) -> Iterator[CommandRunner]:
    """The cloud's back door; its faults are gone afterwards."""
    running_cloud = CommandRunner(tmp_path, f"http://{wire.cloud}")
    yield running_cloud
    running_cloud.post("/admin/heal", {})


def stopped(vendor: Vendor) -> Any:
    """The SDK's answer to a stop, or its exception."""
    option = ecs.BatchStopServersOption(servers=[ecs.ServerId(id=SERVER)], type="SOFT")
    body = ecs.BatchStopServersRequestBody(os_stop=option)
    return vendor.ecs.batch_stop_servers(ecs.BatchStopServersRequest(body=body))


@pytest.mark.parametrize("code", ["Ecs.0100", "Ecs.0603", "Ecs.1000", "APIGW.0301", "Common.0001", "Pdp.0001"])
@pytest.mark.parametrize("form", get_args(Form))
async def test_an_error(
    form: str, code: str, cloud: CommandRunner, vendor: Vendor, own: CloudClient, wire: Relay
) -> None:
    cloud.post("/admin/faults", [{"on": "stop", "do": "refuse", "code": code, "form": form, "message": "because"}])
    reply = await own.stop([SERVER], hard=False, permit=permit(own), last_check=lambda: None)
    assert isinstance(reply, Delivered)
    assert reply.request_id == wire.last.answer_headers["x-request-id"]
    with pytest.raises(exceptions.ServiceResponseException) as refused:
        stopped(vendor)
    error = refused.value
    assert error.status_code == reply.status
    assert error.request_id == wire.last.answer_headers["x-request-id"]
    if form in NO_CODE:
        assert (reply.code, error.error_code) == (None, str(reply.status))
    elif form == "nova":
        # Nova's code is the status, and the SDK takes it for one; fleetos takes the name, which says more.
        assert error.error_code == reply.status
        assert [reply.code] == list(wire.last.told)
    else:
        assert (reply.code, error.error_code) == (code, code)
    if form not in NO_CODE:
        assert reply.message is not None
        assert "because" in reply.message
        assert "because" in error.error_msg


def test_a_refused_login(vendor: Vendor, env: Mapping[str, str]) -> None:
    with pytest.raises(exceptions.ClientRequestException) as refused:
        login(vendor, {**env, "OS_PASSWORD": "wrong"})
    assert refused.value.status_code == 401
    assert refused.value.error_msg


async def test_a_202_of_flow_control_is_no_acceptance(cloud: CommandRunner, vendor: Vendor, own: CloudClient) -> None:
    cloud.post("/admin/faults", [{"on": "stop", "do": "refuse", "code": "Common.0024"}])
    reply = await own.stop([SERVER], hard=False, permit=permit(own), last_check=lambda: None)
    assert isinstance(reply, Delivered)
    assert (reply.status, reply.job_id, reply.code) == (202, None, "Common.0024")
    answer = stopped(vendor)
    assert (answer.status_code, answer.job_id) == (202, None)
