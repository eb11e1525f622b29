"""The folder in which a simulated world lives: its journal, its address, and the lock of the process that serves it."""

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

# Whoever asks for the occupant holds the lock for a moment: one refusal does not mean that the folder is taken.
_TRIES = 20
_PAUSE_S = 0.05


class StateFolder:
    """One folder, made 0700, with files that only its owner reads whatever the folder allows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "world.jsonl"
        self.address = folder / "address.json"
        self.log = folder / "serve.log"
        self.turn = folder / "turn.lock"
        self._lock = folder / "serve.lock"

    def make(self) -> None:
        """Make the folder if it is not there, and those above it that are missing, each for its owner alone."""
        make_private_folder(self.folder)

    @contextlib.contextmanager
    def occupied(self) -> Generator[None]:
        """Hold the folder as the one process that serves its world. Raises UsageError if another does."""
        self.make()
        for _ in range(_TRIES):
            with locked(self._lock) as file:
                if file is not None:
                    os.ftruncate(file, 0)
                    os.pwrite(file, str(os.getpid()).encode(), 0)
                    yield
                    return
            time.sleep(_PAUSE_S)
        raise UsageError(f"another process serves the world in {self.folder}")

    def occupant(self) -> int | None:
        """Return the process id of the process that serves the world, or None if none does."""
        if not self._lock.exists():
            return None
        with locked(self._lock) as file:
            if file is not None:
                return None
        text = self._lock.read_text()
        return int(text) if text.isdecimal() else None

    def write_address(self, url: str, world: str) -> None:
        """Write down where the world is served."""
        write_private(self.address, json.dumps({"v": 1, "base_url": url, "world": world}).encode())

    def read_address(self) -> tuple[str, str] | None:
        """Return base URL and world as they were written last, or None."""
        try:
            content = cast("dict[str, object]", json.loads(self.address.read_bytes()))
            return str(content["base_url"]), str(content["world"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def forget(self) -> None:
        """Drop the world. Nobody may serve it."""
        for path in (self.journal, self.address, self.log):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Generator[int | None]:
    """Hold a file's lock; gives the open file, or None when another holds it."""
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
