"""The digest of a plan: what it says counts, not how or where it is written."""

import re
import shutil
from pathlib import Path

import pytest

from fleetos.model.plan import Plan
from fleetos.model.run import Scope
from fleetos.planning.plan_file.digest import run_digest
from fleetos.planning.plan_file.load import load_plan
from tests.unit.planning.plan_folder import PlanFolder

FILES = {"s.csv": "name,pair\nweb-02,a\n", "data": "#cloud-config\n"}
TEXT = """\
version: 1
name: try
change:
  image: Debian
  adminpass: {file: ../secrets/pw}
  metadata: {BYOL: "true", __system__encrypted: "1"}
  user_data: {file: data}
servers:
  - name: web-01
    change: {image: other}
  - file: s.csv
timeouts: {stop: 10m, change: 1h30m}
"""


def test_formatting_comments_defaults_and_key_order_do_not_count(plans: PlanFolder) -> None:
    other = """\
    # another hand
    name: "try"
    version: 1
    api: {rate: auto}
    timeouts:
      change: 90m
    rollout: {concurrency: 10, force: false}
    exclude: []
    servers:
      - {change: {image: other}, name: web-01}
      - {name: web-02, labels: {pair: a}, change: {image: Debian}}
    change:
      api: auto
      metadata: {__system__encrypted: "1", BYOL: "true"}
      user_data: {text: "#cloud-config\\n"}
      adminpass: {file: ../secrets/pw}
      image: Debian
    """
    assert plans.plan(TEXT, FILES).digest == plans.plan(other).digest


def test_where_the_plan_lies_does_not_count(plans: PlanFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = plans.plan(TEXT, FILES).digest
    moved = plans.folder / "deep" / "below"
    moved.mkdir(parents=True)
    for name in ("plan.yaml", "s.csv", "data"):
        shutil.copy(plans.folder / name, moved / name)
    shutil.move(moved / "plan.yaml", moved / "renamed.yaml")
    assert load_plan(moved / "renamed.yaml").digest == digest
    monkeypatch.chdir(plans.folder)
    relative = load_plan(Path("plan.yaml"))
    assert relative.digest == digest
    assert relative.path == plans.folder / "plan.yaml"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("name: try", "name: tri"),
        ("image: Debian", "image: Ubuntu"),
        ("file: ../secrets/pw", "env: PW"),
        ("../secrets/pw", "../secrets/other"),
        ('BYOL: "true", ', ""),
        ("name: web-01", "name: web-03"),
        ("{image: other}", "{image: other, api: v2}"),
        ("stop: 10m", "stop: 11m"),
        ("timeouts:", "rollout: {concurrency: 10%}\ntimeouts:"),
        ("timeouts:", "rollout: {force: true}\ntimeouts:"),
        ("timeouts:", "exclude: [{name: x}]\ntimeouts:"),
        ("timeouts:", "allow_managed: [node-1]\ntimeouts:"),
        ("timeouts:", "allow_protected: [db-1]\ntimeouts:"),
        ("timeouts:", "failure: {attempts: 3}\ntimeouts:"),
        ("timeouts:", "polling: {max: 50s}\ntimeouts:"),
        ("timeouts:", "api: {connections: 3}\ntimeouts:"),
    ],
)
def test_what_the_plan_says_counts(plans: PlanFolder, before: str, after: str) -> None:
    assert before in TEXT
    assert plans.plan(TEXT, FILES).digest != plans.plan(TEXT.replace(before, after, 1), FILES).digest


@pytest.mark.parametrize("change", [{"s.csv": "name,pair\nweb-02,b\n"}, {"data": "#cloud-config\n# more\n"}])
def test_what_the_named_files_say_counts(plans: PlanFolder, change: dict[str, str]) -> None:
    assert plans.plan(TEXT, FILES).digest != plans.plan(TEXT, {**FILES, **change}).digest


def test_an_override_back_to_auto_counts(plans: PlanFolder) -> None:
    text = "version: 1\nname: x\nchange: {image: a, api: v1}\nservers: [{name: b, change: {api: auto}}]\n"
    assert plans.plan(text).digest != plans.plan(text.replace(", change: {api: auto}", "")).digest


def test_the_password_itself_does_not_count(plans: PlanFolder) -> None:
    text = TEXT.replace("../secrets/pw", "pw")
    digest = plans.plan(text, {**FILES, "pw": "Passw0rd-1"}).digest
    assert plans.plan(text, {**FILES, "pw": "Passw0rd-2"}).digest == digest


def test_cloud_region_and_project_count_for_the_run(plans: PlanFolder) -> None:
    plan: Plan = plans.plan(TEXT, FILES)
    places = [
        ("a", "b", "p"),
        ("a", None, "p"),
        (None, "b", "p"),
        ("b", "a", "p"),
        (None, None, "p"),
        (None, None, "q"),
    ]
    digests = {run_digest(plan, Scope(*where, "https://ecs.example")) for where in places}
    assert len(digests) == 6
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in digests)
    named = plans.plan(TEXT + "cloud: a\nregion: b\n", FILES)
    here, there = (Scope("a", "b", "p", endpoint) for endpoint in ("https://ecs.example", "https://other.example"))
    assert run_digest(named, here) == run_digest(plan, there)


def test_receivers_count_only_where_they_are_written(tmp_path: Path) -> None:
    folder = PlanFolder(tmp_path)
    bare = folder.plan(TEXT, FILES).digest
    usual = folder.plan(f"{TEXT}notify: [{{url: {{env: HOOK}}}}]\n").digest
    assert folder.plan(f"{TEXT}notify: []\n").digest == bare
    written = "[started, wave, approval, paused, budget-half, overdue, finished]"
    assert usual == folder.plan(f"{TEXT}notify: [{{url: {{env: HOOK}}, on: {written}}}]\n").digest
    other = "notify: [{url: {env: HOOK}, secret: {env: KEY}}]"
    assert len({bare, usual, folder.plan(f"{TEXT}{other}\n").digest}) == 3
