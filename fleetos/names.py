"""Names of servers, images and the like: compared, shown so that look-alikes differ, and suggested. Pure."""

import difflib
import re
import unicodedata
from collections.abc import Iterable

# Control characters, invisible marks (bidi overrides among them), lone surrogates and unassigned code points.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters that a terminal shows as nothing or as a blank although their category says otherwise: the grapheme joiner,
# fillers of Hangul, variation selectors of Mongolian and of all scripts, and the braille pattern without dots.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0") | frozenset(
    chr(code) for code in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
)
# Dashes that look like the hyphen of the keyboard in most fonts.
_HYPHENS = frozenset("\u2010\u2011\u2012\u2013\u2212\ufe63")
# Letters of other scripts that look like Latin ones, lower case, as the Unicode table of confusables pairs them.
_CONFUSABLE = str.maketrans(
    # Cyrillic, then Greek and the dotless i.
    "\u0430\u0432\u0433\u0435\u04bb\u0456\u0458\u043a\u043c\u043d\u043e"
    "\u0440\u051b\u0441\u0455\u0442\u0443\u0445\u0501\u051d\u04cf"
    "\u03b1\u03b2\u03b3\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03c9\u0131",
    "abrehijkmhopqcstyxdwlabyeikvoptuxwi",
)
_NUMBER_PADDING = re.compile(r"0+(?=[0-9])")
_SEPARATORS = re.compile(r"[-_. ]+")
# How alike two names are at least that one is suggested for the other.
_LEAST_ALIKE = 0.6
_SUGGESTED = 3
# How many of the nearest names are put in order, so that of equally near ones the first is suggested.
_COMPARED = 20


def composed(text: str) -> str:
    """Return the text in NFC, the form in which names are compared: two spellings of `ü` are the same letter."""
    return unicodedata.normalize("NFC", text)


def escaped(letter: str) -> str:
    """Return the letter, as an escape where nobody could tell by the eye that it is there, or which it is."""
    hidden = letter in _BLANK or letter in _HYPHENS or (letter != " " and unicodedata.category(letter) == "Zs")
    if not hidden and unicodedata.category(letter) not in _UNSEEN:
        return letter
    return letter.encode("unicode_escape").decode("ascii")


def shown(name: str) -> str:
    """Return the name for a message: what cannot be seen is spelled out, and so are blanks at its ends."""
    if name.isascii() and name.isprintable() and name.strip(" ") == name:
        return name
    inner = name.strip(" ")
    left = len(name) - len(name.lstrip(" ")) if inner else len(name)
    right = len(name) - len(inner) - left
    return r"\x20" * left + "".join(map(escaped, inner)) + r"\x20" * right


def look(name: str) -> str:
    """Return what look-alikes have in common: no capitals, invisible letters, kinds of dashes, widths or scripts."""
    if name.isascii():
        return " ".join(name.casefold().split())
    folded = unicodedata.normalize("NFKC", name).casefold()
    kept = (_look(letter) for letter in unicodedata.normalize("NFKC", folded))
    return " ".join("".join(kept).translate(_CONFUSABLE).split())


def _look(letter: str) -> str:
    category = unicodedata.category(letter)
    if letter in _BLANK or category in _UNSEEN:
        return ""
    return "-" if category == "Pd" or letter in _HYPHENS else letter


class Suggestions:
    """The names that are known, of which one may have been meant where another was written."""

    def __init__(self, known: Iterable[str]) -> None:
        self._by_look: dict[str, list[str]] = {}
        self._by_number: dict[str, list[str]] = {}
        for name in dict.fromkeys(known):
            seen = look(name)
            self._by_look.setdefault(seen, []).append(name)
            self._by_number.setdefault(_unpadded(seen), []).append(name)

    def alike(self, wanted: str) -> list[str]:
        """Return the known names that look the same and are others."""
        return sorted(name for name in self._by_look.get(look(wanted), ()) if name != wanted)

    def nearest(self, wanted: str, most: int = _SUGGESTED) -> list[str]:
        """Return the names that somebody may have meant, the likeliest first.

        Look-alikes come alone; else names that differ in zeros before numbers or in separators, then in some letters.
        """
        seen = look(wanted)
        found = self.alike(wanted) or sorted(self._by_number.get(_unpadded(seen), ()))
        if not found:
            near = difflib.get_close_matches(seen, self._by_look, n=_COMPARED, cutoff=_LEAST_ALIKE)
            near.sort(key=lambda one: (-difflib.SequenceMatcher(None, one, seen).ratio(), one))
            found = [name for one in near for name in self._by_look[one]]
        return [name for name in found if name != wanted][:most]

    def meant(self, wanted: str, most: int = _SUGGESTED) -> str | None:
        """Return the question whether one of the names was meant, None where none comes near."""
        near = self.nearest(wanted, most)
        return f"did you mean {' or '.join(map(shown, near))}?" if near else None


def _unpadded(seen: str) -> str:
    return _SEPARATORS.sub("", _NUMBER_PADDING.sub("", seen))
