"""Doctor looks at cloud and database in one process, tells each diagnosis once, and changes nothing."""

import pytest

from fleetos.app.doctor.cloud_probe import probe_cloud
from fleetos.app.doctor.database_probe import probe_database
from fleetos.cloud.operations import DRY_READS
from fleetos.model.diagnosis import Diagnosis, Grade, Topic
from tests.unit.app.conftest import Case


async def examined(case: Case) -> list[Diagnosis]:
    """Return all that doctor tells."""
    told: list[Diagnosis] = []
    async with probe_database(case.context, told.append) as database:
        await probe_cloud(case.context, None, None, database, told.append)
    return told


async def test_a_sound_database_and_cloud_are_not_broken(case: Case) -> None:
    async with case.context.sound_database(make=True):
        pass
    before, writes = (case.folder / "fleetos.db").read_bytes(), len(case.cloud.ledger().writes)
    told = await examined(case)
    assert [one for one in told if one.grade is Grade.BROKEN] == []
    allowed = [one.subject for one in told if one.topic is Topic.PERMISSION and one.grade is Grade.FINE]
    assert allowed == list(DRY_READS)
    assert (case.folder / "fleetos.db").read_bytes() == before
    assert len(case.cloud.ledger().writes) == writes


async def test_a_wrong_password_is_shown_to_the_cloud_once(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_PASSWORD", "wrong-word-4711")
    logins = case.cloud.ledger().requests.get("token", 0)
    told = await examined(case)
    login = next(one for one in told if one.topic is Topic.LOGIN)
    assert (login.grade, login.exit_code) == (Grade.BROKEN, 77)
    assert case.cloud.ledger().requests["token"] == logins + 1
    assert not (case.folder / "fleetos.db").exists()
    assert "wrong-word-4711" not in repr(told)
