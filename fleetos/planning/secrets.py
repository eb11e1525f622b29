"""Resolve secrets from environment and files when they are needed. They never reach anything that is written."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from fleetos.errors import InputError, Problem
from fleetos.files import UnreadableFile, read_bounded
from fleetos.limits import PASSWORDS_HIDDEN, SECRET_FILE_MAX_BYTES, USER_DATA_MAX_BYTES
from fleetos.model.plan import SecretRef, SourcePosition, UserDataRef
from fleetos.model.run import Order, Secrets
from fleetos.planning.plan_file.load import user_data_texts

# API page ecs_02_0202; the longer set of special characters of its newest edition is accepted.
_LEAST_LETTERS, _MOST_LETTERS = 8, 26
_SPECIAL = frozenset("!@$%^-_=+[{}]:,./?~#*")
_CLASSES_NEEDED = 3
_WINDOWS_USER = "administrator"
_WINDOWS_USER_PART = 3
_FROZEN_HINT = "put it back as it was and resume the run, or abort the run and apply the plan anew"

SecretPositions = Mapping[SecretRef | UserDataRef, SourcePosition]


class UnusableSecret(Exception):
    """Error: a secret cannot be used. It says what was expected, and never holds the secret."""

    def __init__(self, expected: str, hint: str | None = None) -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint


class PlanSecrets:
    """Resolver of the secrets that orders refer to, in the environment and in files.

    `env` None: the environment of this process.
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._env = os.environ if env is None else env
        # Texts of plans by their digest, kept because each search reads the whole plan again.
        self._texts: dict[str, bytes] = {}

    def resolve(self, order: Order) -> Secrets:
        """Return the order's secrets. Raise InputError if one is missing or differs from what was frozen."""
        return self._resolve_order(order, {}, frozenset())

    def check(self, orders: Iterable[Order], places: SecretPositions, windows: frozenset[str] = frozenset()) -> None:
        """Raise InputError unless every secret of the orders exists and can be used; it lists all problems.

        `windows` are the ids of Windows images, which forbid more passwords.
        """
        problems: dict[Problem, None] = {}
        for order in orders:
            try:
                self._resolve_order(order, places, windows)
            except InputError as error:
                problems |= dict.fromkeys(error.problems)
        if problems:
            raise InputError(tuple(problems))

    def passwords(self, orders: Iterable[Order]) -> tuple[str, ...]:
        """Return those of the orders' first PASSWORDS_HIDDEN passwords that can be resolved."""
        passwords: list[str] = []
        for ref in islice(dict.fromkeys(order.adminpass for order in orders), PASSWORDS_HIDDEN):
            with contextlib.suppress(UnusableSecret):
                passwords += [] if ref is None else [self._resolve_password(ref, windows=False)]
        return tuple(passwords)

    def _resolve_order(self, order: Order, places: SecretPositions, windows: frozenset[str]) -> Secrets:
        problems: list[Problem] = []
        password: str | None = None
        user_data: bytes | None = None
        if order.adminpass is not None:
            try:
                password = self._resolve_password(order.adminpass, windows=order.image_id in windows)
            except UnusableSecret as error:
                problems.append(_place_of(order.adminpass, places).problem(error.expected, error.hint))
        if order.user_data is not None:
            try:
                user_data = self._resolve_user_data(order.user_data)
            except UnusableSecret as error:
                problems.append(_place_of(order.user_data, places).problem(error.expected, error.hint))
        if problems:
            raise InputError(tuple(problems))
        return Secrets(password, user_data)

    def _resolve_password(self, ref: SecretRef, *, windows: bool) -> str:
        password = read_secret(ref, self._env, "a password")
        fault = password_fault(password, windows=windows)
        if fault is not None:
            source = "the environment variable" if ref.kind == "env" else "the file"
            raise UnusableSecret(f"in {source} {ref.where} a password that {fault}")
        return password

    def _resolve_user_data(self, ref: UserDataRef) -> bytes:
        if ref.in_plan:
            if ref.sha256 not in self._texts:
                self._texts |= _read_plan_texts(Path(ref.path))
            data = self._texts.get(ref.sha256, b"")
        else:
            try:
                data = read_bounded(Path(ref.path), USER_DATA_MAX_BYTES)
            except UnreadableFile as error:
                raise UnusableSecret(f"the user data of this run: {error.expected}", _FROZEN_HINT) from None
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise UnusableSecret(f"the user data of this run; it has been changed in {ref.path}", _FROZEN_HINT)
        return data


def _place_of(ref: SecretRef | UserDataRef, places: SecretPositions) -> SourcePosition:
    key = "adminpass" if isinstance(ref, SecretRef) else "user_data"
    file = ref.where if isinstance(ref, SecretRef) else ref.path
    elsewhere = "environment" if isinstance(ref, SecretRef) and ref.kind == "env" else file
    return places.get(ref) or SourcePosition(elsewhere, None, None, key)


def read_secret(ref: SecretRef, env: Mapping[str, str], what: str) -> str:
    """Return the secret, without the end of its line. `what` names it in errors. Raise UnusableSecret."""
    if ref.kind == "env":
        secret = env.get(ref.where, "")
        if not secret:
            raise UnusableSecret(f"{what} in the environment variable {ref.where}, which is not set", "export it")
    else:
        secret = _read_secret_file(Path(ref.where), what)
    return secret.removesuffix("\n").removesuffix("\r")


def _read_secret_file(path: Path, what: str) -> str:
    try:
        data = read_bounded(path, SECRET_FILE_MAX_BYTES)
    except UnreadableFile as error:
        raise UnusableSecret(f"a file with {what}: {error.expected}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    # Raised outside of the handler: a UnicodeDecodeError as its context would hold the secret's bytes.
    raise UnusableSecret(f"{what} in UTF-8 in the file {path}")


def _read_plan_texts(path: Path) -> dict[str, bytes]:
    try:
        texts = [text.encode() for text in user_data_texts(path)]
    except InputError:
        return {}
    return {hashlib.sha256(text).hexdigest(): text for text in texts}


def password_fault(password: str, *, windows: bool) -> str | None:
    """Return the rule that a password breaks (error Ecs.0011), as the end of a sentence; None if it breaks none.

    The rules are those of API page ecs_02_0202. That Linux forbids its user name too is inferred.
    """
    if not _LEAST_LETTERS <= len(password) <= _MOST_LETTERS:
        return f"has {_LEAST_LETTERS} to {_MOST_LETTERS} letters"
    ascii_letters = all(letter in _SPECIAL or (letter.isascii() and letter.isalnum()) for letter in password)
    if not ascii_letters:
        return "has only letters, digits and the special characters " + "".join(sorted(_SPECIAL))
    classes = (
        any(letter.isupper() for letter in password),
        any(letter.islower() for letter in password),
        any(letter.isdigit() for letter in password),
        any(letter in _SPECIAL for letter in password),
    )
    if sum(classes) < _CLASSES_NEEDED:
        return "has three of: upper case, lower case, digits, special characters"
    folded = password.lower()
    for user in (_WINDOWS_USER, "root"):
        if user in folded or user[::-1] in folded:
            return "does not contain the name of the user, forwards or backwards"
    parts = (
        _WINDOWS_USER[start : start + _WINDOWS_USER_PART]
        for start in range(len(_WINDOWS_USER) - _WINDOWS_USER_PART + 1)
    )
    if windows and any(part in folded for part in parts):
        return "has no more than two letters in a row of the user name Administrator"
    return None
