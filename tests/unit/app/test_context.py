"""A database that is named and not there is no empty one, and a plan's cloud is never replaced."""

import pytest

from fleetos.app.context import chosen_cloud
from fleetos.errors import UnknownRun, UsageError
from tests.unit.app.conftest import Case


async def test_a_database_is_made_only_where_a_use_case_may_make_it(case: Case) -> None:
    file = case.folder / "fleetos.db"
    with pytest.raises(UsageError, match="there is no database at"):
        case.context.is_missing()
    with pytest.raises(UsageError):
        async with case.context.existing_database():
            pass
    async with case.context.existing_database(before_apply=True) as none:
        assert none is None
    assert not file.exists()
    async with case.context.sound_database(make=True):
        assert file.exists()
    assert [line.partition(":")[0] for line in case.said][-1] == "made a new database"


async def test_there_is_nothing_to_act_on_in_a_default_database_that_is_not_there(case: Case) -> None:
    context = type(case.context)(None, case.said.append)
    assert context.is_missing()
    with pytest.raises(UnknownRun, match="no runs yet"):
        async with context.sound_database():
            pass


def test_a_plan_is_sent_to_its_own_cloud() -> None:
    assert chosen_cloud("a", None) == chosen_cloud(None, "a") == chosen_cloud("a", "a") == "a"
    with pytest.raises(UsageError):
        chosen_cloud("b", "a")
