"""Folder of a persistent world: journal, address, lock."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import cast

from fleetos.errors import UsageError
from fleetos.files import PRIVATE_FILE, make_private_folder, write_private

# `server_pid` holds the lock for a moment: a single refusal does not mean that a process serves the folder.
_TRIES = 20
_PAUSE_S = 0.05


class StateFolder:
    """Folder with mode 0700. Its files are private to their owner even if the mode of the folder is wider."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.journal = folder / "world.jsonl"
        self.address = folder / "address.json"
        self.log = folder / "serve.log"
        self.start_lock = folder / "turn.lock"
        self._lock = folder / "serve.lock"

    def create(self) -> None:
        """Create the folder and its missing parents, each private to the owner."""
        make_private_folder(self.path)

    @contextlib.contextmanager
    def hold(self) -> Generator[None]:
        """Hold the folder as the only process that serves its world. Raises UsageError if another process does."""
        self.create()
        for _ in range(_TRIES):
            with try_lock(self._lock) as file:
                if file is not None:
                    os.ftruncate(file, 0)
                    os.pwrite(file, str(os.getpid()).encode(), 0)
                    yield
                    return
            time.sleep(_PAUSE_S)
        raise UsageError(f"another process serves the world in {self.path}")

    def server_pid(self) -> int | None:
        """Return the id of the process that serves the world, or None."""
        if not self._lock.exists():
            return None
        with try_lock(self._lock) as file:
            if file is not None:
                return None
        text = self._lock.read_text()
        return int(text) if text.isdecimal() else None

    def write_address(self, url: str, world: str) -> None:
        """Record the base URL at which the world is served."""
        write_private(self.address, json.dumps({"v": 1, "base_url": url, "world": world}).encode())

    def read_address(self) -> tuple[str, str] | None:
        """Return the base URL and the world that were recorded last, or None."""
        try:
            content = cast("dict[str, object]", json.loads(self.address.read_bytes()))
            return str(content["base_url"]), str(content["world"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def delete_world(self) -> None:
        """Delete the world. The caller makes sure that no process serves it."""
        for path in (self.journal, self.address, self.log):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def try_lock(path: Path) -> Generator[int | None]:
    """Hold a file's lock: yield the open file, or None if another process holds the lock."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file
    finally:
        os.close(file)
