"""The reference page and the code name the same things."""

import ast
import re
from pathlib import Path

import fleetos.cloud
from fleetos.cloud.auth.password_sources import PASSWORD_COMMAND_S
from fleetos.cloud.auth.request_auth import CLOCK_DIFFERENCE_S
from fleetos.cloud.auth.token_cache import TOKEN_MARGIN_S
from fleetos.cloud.rate.throttle import AUTO_BURST, AUTO_READS_PER_S, AUTO_WRITES_PER_S, CLOSURE_MAX_S, CLOSURE_S
from fleetos.limits import SECRET_FILE_MAX_BYTES

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs/reference/credentials.md").read_text()
VARIABLE = re.compile(r"(?:OS|FLEETOS|XDG|HUAWEICLOUD_SDK)_[A-Z_]+|HTTPS_PROXY|NO_PROXY")


def named_in_code() -> set[str]:
    """The variables in the string constants of the client that are nothing but a variable."""
    names: set[str] = set()
    for file in Path(str(fleetos.cloud.__path__[0])).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value):
                names.add(node.value)
    return names


def test_the_page_names_every_variable_that_is_read_and_no_other() -> None:
    code = named_in_code()
    assert {"OS_PASSWORD", "FLEETOS_ECS_ENDPOINT", "HTTPS_PROXY", "OS_CLIENT_CONFIG_FILE"} <= code
    assert set(VARIABLE.findall(PAGE)) == code


def test_the_numbers_on_the_page_are_the_codes() -> None:
    text = " ".join(PAGE.split())
    assert f"at most {AUTO_READS_PER_S:g} reads and {AUTO_WRITES_PER_S:g} write a second" in text
    assert f"after a burst of {AUTO_BURST:g} each" in text
    assert "at least a minute, doubling up to 16 minutes" in text
    assert (CLOSURE_S, CLOSURE_MAX_S) == (60, 16 * 60)
    assert "renewed ten minutes before its end, or at three quarters" in text
    assert TOKEN_MARGIN_S == 600
    assert "has a minute to print the password" in text
    assert PASSWORD_COMMAND_S == 60
    assert f"more than {SECRET_FILE_MAX_BYTES} bytes" in text
    assert "further off than five" in text
    assert CLOCK_DIFFERENCE_S == 5 * 60
