"""Check that cloud-init, or cloudbase-init on Windows, will read user data. Pure.

No message ever repeats the content: it may hold secrets. Sources: cloud-init, "user-data formats" (a text is known by
how it begins); cloudbase-init, "userdata"; execve(2) of Linux, for the line ends of scripts.
"""

import base64
import binascii
import codecs
import re
from collections.abc import Iterator

from fleetos.names import Suggestions
from fleetos.yaml_file import UnreadableYaml, kind_of_document

TextAndHint = tuple[str, str]

_GZIP = b"\x1f\x8b"
_UTF16_OR_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CONFIG, _SCRIPT, _TEMPLATE = "#cloud-config", "#!", "## template: jinja"
_HEADERS = (
    _CONFIG,
    "#cloud-config-archive",
    "#cloud-config-jsonp",
    "#cloud-boothook",
    "#include",
    "#include-once",
    "#part-handler",
    "#upstart-job",
    _SCRIPT,
    _TEMPLATE,
    # For Windows.
    "#ps1",
    "<powershell>",
    "<script>",
    "rem cmd",
)
_OTHER_CONFIGS = ("#cloud-config-archive", "#cloud-config-jsonp")
# The header of a MIME message must stand within this many bytes.
_MIME_HEAD, _MIME = 4096, b"mime-version:"
_BASE64 = re.compile(rb"[A-Za-z0-9+/\s]{16,}={0,2}\s*")
# More levels than anybody writes; the parser needs seconds for thousands.
_YAML_LEVELS = 64
_SUGGESTIONS = Suggestions(header for header in _HEADERS if header != _SCRIPT)


def user_data_fault(data: bytes) -> TextAndHint | None:
    """Return why no server can read the user data, as the end of a sentence, and a hint; None if one can."""
    if data.startswith(_GZIP):
        return None
    if data.startswith(_UTF16_OR_32):
        return "is UTF-16 or UTF-32, which cloud-init does not read", "save it as UTF-8"
    if data.startswith(codecs.BOM_UTF8):
        return "begins with a byte order mark, so cloud-init does not know what it is", "save it as UTF-8 without BOM"
    if b"\0" in data:
        return "holds NUL bytes, so it is no text in UTF-8", "save it as UTF-8, or compress it with gzip"
    return None if data.strip() else ("is empty", "leave `user_data` out")


def user_data_doubts(data: bytes) -> Iterator[TextAndHint]:
    """Yield what cloud-init will probably not read as it was meant, in the form of `user_data_fault`."""
    if data.startswith(_GZIP):
        return
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        yield "is not UTF-8", "save it as UTF-8"
    if _MIME in data[:_MIME_HEAD].lower():
        return
    if text != text.lstrip():
        yield "begins with a blank, and its first line has to stand at the very beginning", "remove the blanks"
    text = text.lstrip()
    header = _header(text)
    if header == _TEMPLATE:
        header = _header(text.partition("\n")[2].lstrip())
    if header is None:
        yield _unknown_header(data, text)
    elif header == _SCRIPT and "\r" in text:
        yield "is a script with CR LF line ends, which Linux cannot run", "save it with LF line ends"
    elif header == _CONFIG and not text.lower().startswith((_TEMPLATE, *_OTHER_CONFIGS)):
        yield from _config_doubts(text)


def _header(text: str) -> str | None:
    """Return the longest header that the text begins with: cloud-init does not regard capitals."""
    begin = text[:64].lower()
    return max((header for header in _HEADERS if begin.startswith(header)), key=len, default=None)


def _unknown_header(data: bytes, text: str) -> TextAndHint:
    if _is_base64(data):
        return "looks like base64 already, and fleetos encodes it once more", "give it as it was before base64"
    first = text.partition("\n")[0].strip()[:64]
    suggestions = _SUGGESTIONS.nearest(first, most=1)
    hint = (
        f"did you mean `{suggestions[0]}`?"
        if suggestions
        else "begin it with a line such as `#cloud-config` or `#!/bin/sh`"
    )
    return "begins with a line that cloud-init does not know, so it will be ignored", hint


def _is_base64(data: bytes) -> bool:
    if not _BASE64.fullmatch(data):
        return False
    try:
        base64.b64decode(b"".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _config_doubts(text: str) -> Iterator[TextAndHint]:
    hint = "check it: cloud-init schema --config-file FILE"
    try:
        kind = kind_of_document(text, _YAML_LEVELS)
    except UnreadableYaml:
        yield "is a #cloud-config that is not valid YAML", hint
        return
    if kind is None:
        yield "is a #cloud-config with nothing in it", "add its keys, or leave `user_data` out"
    elif kind != "mapping":
        yield "is a #cloud-config that is no mapping of keys", hint
