"""Passwords from a command or the system keyring.

Either is read once, before the first request. Errors never show the output of the command, nor its arguments. Its
standard error is ours, since it may ask for a passphrase there.
"""

import contextlib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio.abc import Process

from fleetos.cloud.auth.credentials import text_fault
from fleetos.errors import InputError, Problem
from fleetos.limits import SECRET_FILE_MAX_BYTES
from fleetos.threads import run_abandonable

# A program that prints a password, or a keyring, may first ask a person for a passphrase or a touch.
PASSWORD_COMMAND_S = 60.0


@dataclass(frozen=True, slots=True)
class PasswordCommand:
    """Program with its arguments, run without a shell. It prints the password, and possibly one line break."""

    arguments: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Entry of a service and a user in the system keyring."""

    service: str
    user: str


PasswordSource = PasswordCommand | Keyring


Wrong = Callable[..., InputError]


async def read_password(source: PasswordSource, file: str, key: str) -> str:
    """Return the password. Raise InputError at `file` and `key` if the source yields none within PASSWORD_COMMAND_S."""

    def wrong(expected: str, hint: str | None = None) -> InputError:
        return InputError((Problem(file, None, None, key, expected, hint),))

    try:
        with anyio.fail_after(PASSWORD_COMMAND_S):
            password = await (
                _run_command(source, wrong) if isinstance(source, PasswordCommand) else _read_keyring(source, wrong)
            )
    except TimeoutError:
        raise wrong(f"a password within {PASSWORD_COMMAND_S:g} s") from None
    if not password:
        raise wrong("a password, and there is none")
    if (fault := text_fault(password)) is not None:
        raise wrong(f"a password that is {fault}")
    return password


async def _run_command(command: PasswordCommand, wrong: Wrong) -> str:
    try:
        process = await anyio.open_process(command.arguments, stdin=None, stdout=subprocess.PIPE, stderr=None)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not the name of a program"
        raise wrong(f"a program that can be started ({reason})") from None
    async with process:
        try:
            output = await _read_output(process)
            # A program that prints more than a password is the wrong one, and may never end.
            exit_code = await process.wait() if len(output) <= SECRET_FILE_MAX_BYTES else None
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    if exit_code is None:
        raise wrong(f"a password of at most {SECRET_FILE_MAX_BYTES} bytes")
    if exit_code != 0:
        raise wrong(f"a program that prints the password; it ended with exit code {exit_code}")
    try:
        return output.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise wrong("a password in UTF-8") from None


async def _read_output(process: Process) -> bytes:
    """Return the output of the program, cut off just past SECRET_FILE_MAX_BYTES."""
    parts: list[bytes] = []
    size = 0
    if process.stdout is not None:
        async for part in process.stdout:
            parts.append(part)
            size += len(part)
            if size > SECRET_FILE_MAX_BYTES:
                break
    return b"".join(parts)


async def _read_keyring(keyring: Keyring, wrong: Wrong) -> str:
    try:
        import keyring as library
    except ImportError:
        raise wrong("the library keyring, which is not installed", "pip install 'fleetos[keyring]'") from None
    try:
        # In a thread: a back end may wait for another process, or for a person who unlocks it.
        password = await run_abandonable(partial(library.get_password, keyring.service, keyring.user))
    except Exception as error:  # noqa: BLE001 - each back end has errors of its own, and what they quote nobody knows
        raise wrong(f"a keyring that can be read ({type(error).__name__})") from None
    if password is None:
        raise wrong(
            f"an entry of service {keyring.service} and user {keyring.user} in the keyring",
            f"keyring set {keyring.service} {keyring.user}",
        )
    return password
