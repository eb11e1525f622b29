from pathlib import Path

import pytest

from tests.unit.planning.plan_folder import PlanFolder


@pytest.fixture
def plans(tmp_path: Path) -> PlanFolder:
    return PlanFolder(tmp_path)
