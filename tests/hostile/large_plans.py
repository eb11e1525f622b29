"""Loads a plan in a process that may have only so much memory and processor time, and says what came of it.

Called as a program, with the paths of plans on its input: each is loaded in a fork of its own, and told of in a line of
JSON.
"""

import json
import os
import resource
import sys
from pathlib import Path

from fleetos.errors import InputError
from fleetos.planning.plan_file.load import load_plan

# The largest good plan takes some 400 MB for its 100,000 servers, and a few seconds.
MEMORY_BYTES = 1024 * 2**20
CPU_S = 60


def load(path: Path) -> dict[str, object]:
    """What the plan comes to, with the processor's seconds and the memory that it took."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    told: dict[str, object] = {"plan": path.name, "servers": 0, "problems": 0, "first": ""}
    try:
        told["servers"] = len(load_plan(path).servers)
    except InputError as error:
        told["problems"], told["first"] = len(error.problems), error.problems[0].expected
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {**told, "cpu_s": used.ru_utime + used.ru_stime, "peak_bytes": used.ru_maxrss * 1024}


def main() -> None:
    """Tells of every plan that is named."""
    for name in sys.stdin:
        path = Path(name.rstrip("\n"))
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                print(json.dumps(load(path)), flush=True)
                code = 0
            finally:
                os._exit(code)
        status = os.waitpid(pid, 0)[1]
        if status != 0:
            print(json.dumps({"plan": path.name, "died": status}), flush=True)


if __name__ == "__main__":
    main()
