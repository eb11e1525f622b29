"""Writes uv.lock anew, without the place that each file came from (docs/adr/0003-lock-without-hosts.md).

`python scripts/lock.py [ARGUMENTS OF uv lock]`, as `--upgrade-package rich`. Needs uv on the path.
"""

import re
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).resolve().parent.parent / "uv.lock"

# A registry that is a folder beside the lock: uv looks there for the files, and for nothing that is named by a host.
FOLDER = "wheels"
REGISTRY = re.compile(r'registry = "[a-z]+://[^"]*"')
ADDRESS = re.compile(r'url = "[a-z]+://[^"]*/([^"/]+)"')


def without_hosts(lock: str) -> str:
    """The lock with the same names, versions and hashes, and file names in place of addresses.

    Raises ValueError if an address is left that it does not know how to shorten.
    """
    text = ADDRESS.sub(r'path = "\1"', REGISTRY.sub(f'registry = "{FOLDER}"', lock))
    if "://" in text:
        line = next(line for line in text.splitlines() if "://" in line)
        raise ValueError(f"an address is left in the lock: {line.strip()}")
    return text


def main(arguments: list[str]) -> int:
    """The exit code of uv, or 0 once the lock is written."""
    uv = subprocess.run(["uv", "lock", *arguments], cwd=LOCK.parent, check=False)
    if uv.returncode == 0 and LOCK.exists():
        LOCK.write_text(without_hosts(LOCK.read_text(encoding="utf-8")), encoding="utf-8")
    return uv.returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
