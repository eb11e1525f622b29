"""The clients that are compared: how each is told what to do, and how it is started."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.cloud_process import CloudProcess
from benchmarks.process_tree import Command
from benchmarks.scaled import AGAIN_S, IMAGE, KEY, POLL_MAX_S, POLL_S, SETTLE_S

_HERE = Path(__file__).resolve().parent
_INSTALL = "pip install -e '.[bench]'"


@dataclass(frozen=True, slots=True)
class Task:
    """What every client has to do: change these servers, so many at a time. All waits are divided by `scale`."""

    server_ids: Sequence[str]
    image_id: str
    concurrency: int
    scale: float
    poll_s: float = POLL_S
    poll_max_s: float = POLL_MAX_S


@dataclass(frozen=True, slots=True)
class Way:
    """One client. `first` and `again` are its command lines, the second one after it was killed."""

    name: str
    needs: str
    prepare: Callable[[Path, Task], None]
    first: Sequence[str]
    again: Sequence[str]

    @property
    def missing(self) -> str | None:
        """Why it cannot be started here, or None."""
        return None if find_spec(self.needs) is not None else f"{self.needs} is not installed: {_INSTALL}"

    def command(self, cloud: CloudProcess, *, again: bool = False) -> Command:
        """The command, to be started in the cloud's folder, where it was prepared."""
        env = {**cloud.env, "ANSIBLE_CONFIG": str(cloud.folder / "ansible.cfg")}
        return Command(self.again if again else self.first, cloud.folder, env, cloud.folder / "said.txt")


def _plan(folder: Path, task: Task) -> None:
    servers = "\n".join(f"  - id: {one}" for one in task.server_ids)
    text = f"""version: 1
name: benchmark
change:
  image: {IMAGE}
  keyname: {KEY}
servers:
{servers}
rollout: {{concurrency: {task.concurrency}}}
failure: {{attempts: 3, backoff: {_ms(AGAIN_S, task)}}}
polling: {{min: {_ms(task.poll_s, task)}, max: {_ms(task.poll_max_s, task)}}}
timeouts: {{settle: {_ms(SETTLE_S, task)}}}
"""
    (folder / "plan.yaml").write_text(text, encoding="utf-8")


def _job(folder: Path, task: Task) -> None:
    content = {
        "servers": list(task.server_ids),
        "image_id": task.image_id,
        "key_name": KEY,
        "concurrency": task.concurrency,
        "poll_s": task.poll_s / task.scale,
        "again_s": AGAIN_S / task.scale,
    }
    (folder / "job.json").write_text(json.dumps(content), encoding="utf-8")


def _inventory(folder: Path, task: Task) -> None:
    told = {"image_id": task.image_id, "key_name": KEY, "poll_s": task.poll_s / task.scale}
    local: dict[str, object] = {"ansible_python_interpreter": sys.executable}
    hosts: dict[str, dict[str, object]] = {server_id: {} for server_id in task.server_ids}
    servers: dict[str, object] = {"hosts": hosts, "vars": {**told, **local}}
    inventory: dict[str, object] = {"all": {"hosts": {"localhost": local}, "children": {"servers": servers}}}
    (folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
    # Pipelining saves a copy of the module for each task; the callback saves a line for each.
    settings = f"[defaults]\nforks = {task.concurrency}\nretry_files_enabled = false\nstdout_callback = minimal\n"
    (folder / "ansible.cfg").write_text(f"{settings}[connection]\npipelining = true\n", encoding="utf-8")


def _ms(seconds: float, task: Task) -> str:
    return f"{round(1000 * seconds / task.scale)}ms"


def _python(script: str) -> list[str]:
    return [sys.executable, str(_HERE / script), "job.json"]


_FLEETOS = [sys.executable, "-m", "fleetos"]
_ANSIBLE = [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.json", str(_HERE / "playbook.yml")]

FLEETOS = Way("fleetos", "fleetos", _plan, [*_FLEETOS, "apply", "plan.yaml", "--yes"], [*_FLEETOS, "resume"])
WAYS = (
    FLEETOS,
    Way("asyncio + httpx", "httpx", _job, _python("asyncio_script.py"), _python("asyncio_script.py")),
    Way("threads + vendor's SDK", "huaweicloudsdkecs", _job, _python("sdk_script.py"), _python("sdk_script.py")),
    Way("Ansible playbook", "ansible", _inventory, _ANSIBLE, _ANSIBLE),
)
