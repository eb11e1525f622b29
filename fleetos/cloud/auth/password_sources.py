"""Passwords that stand in no file: a program prints them, or the keyring of the system keeps them.

Both are asked once, before the first request. Nothing of what they say, nor of how they are called, is in an error.
What a program writes to its standard error goes where ours goes, since it may ask for a passphrase there.
"""

import contextlib
import importlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, cast

import anyio
import anyio.to_thread
from anyio.abc import Process

from fleetos.cloud.auth.credentials import fault_of
from fleetos.errors import InputError, Problem
from fleetos.limits import PASSWORD_COMMAND_S, SECRET_FILE_MAX_BYTES


@dataclass(frozen=True, slots=True)
class PasswordCommand:
    """A program with its arguments, which no shell reads. It prints the password, and a line break that is no part."""

    arguments: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The entry of a service and a user in the keyring of the system."""

    service: str
    user: str


Elsewhere = PasswordCommand | Keyring


class _Keyring(Protocol):
    """What is used of the library keyring, with types."""

    def get_password(self, service_name: str, username: str) -> str | None: ...


Wrong = Callable[..., InputError]


async def password_from(source: Elsewhere, file: str, key: str) -> str:
    """Return the password. Raises InputError at `file` and `key` when there is none to be had in time."""

    def wrong(expected: str, hint: str | None = None) -> InputError:
        return InputError((Problem(file, None, None, key, expected, hint),))

    try:
        with anyio.fail_after(PASSWORD_COMMAND_S):
            found = await (_printed(source, wrong) if isinstance(source, PasswordCommand) else _kept(source, wrong))
    except TimeoutError:
        raise wrong(f"a password within {PASSWORD_COMMAND_S:g} s") from None
    if not found:
        raise wrong("a password, and there is none")
    if (fault := fault_of(found)) is not None:
        raise wrong(f"a password that is {fault}")
    return found


async def _printed(command: PasswordCommand, wrong: Wrong) -> str:
    try:
        process = await anyio.open_process(command.arguments, stdin=None, stdout=subprocess.PIPE, stderr=None)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not the name of a program"
        raise wrong(f"a program that can be started ({why})") from None
    async with process:
        try:
            printed = await _output(process)
            # What prints more than a password is another program by mistake, and may never end.
            code = await process.wait() if len(printed) <= SECRET_FILE_MAX_BYTES else None
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    if code is None:
        raise wrong(f"a password of at most {SECRET_FILE_MAX_BYTES} bytes")
    if code != 0:
        raise wrong(f"a program that prints the password; it ended with exit code {code}")
    try:
        return printed.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise wrong("a password in UTF-8") from None


async def _output(process: Process) -> bytes:
    """What the program prints until it closes its output, cut off just past the limit."""
    parts: list[bytes] = []
    size = 0
    if process.stdout is not None:
        async for part in process.stdout:
            parts.append(part)
            size += len(part)
            if size > SECRET_FILE_MAX_BYTES:
                break
    return b"".join(parts)


async def _kept(keyring: Keyring, wrong: Wrong) -> str:
    try:
        library = cast("_Keyring", importlib.import_module("keyring"))
    except ImportError:
        raise wrong("the library keyring, which is not installed", "pip install 'fleetos[keyring]'") from None
    try:
        # Its back ends wait for other processes, and for people who unlock them.
        ask = partial(library.get_password, keyring.service, keyring.user)
        found = await anyio.to_thread.run_sync(ask, abandon_on_cancel=True)
    except Exception as error:  # noqa: BLE001 - each back end has errors of its own, and what they quote nobody knows
        raise wrong(f"a keyring that can be read ({type(error).__name__})") from None
    if found is None:
        raise wrong(
            f"an entry of service {keyring.service} and user {keyring.user} in the keyring",
            f"keyring set {keyring.service} {keyring.user}",
        )
    return found
