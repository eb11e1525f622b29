"""Names of servers, images and the like: compare them, show look-alikes differently, suggest near ones. Pure."""

import difflib
import re
import unicodedata
from collections.abc import Iterable

# Control characters, invisible marks (bidi overrides among them), lone surrogates and unassigned code points.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters that a terminal shows as nothing or as a blank, although their category says otherwise: the grapheme joiner,
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
# Least similarity of a name that is suggested.
_LEAST_ALIKE = 0.6
_SUGGESTED = 3
# Number of near names that are sorted, so that of equally near ones the first by name is suggested.
_COMPARED = 20


def to_nfc(text: str) -> str:
    """Return the text in NFC, the form in which names are compared: two spellings of `ü` are the same letter."""
    return unicodedata.normalize("NFC", text)


def escape_letter(letter: str) -> str:
    """Return the letter, escaped if a reader could not see it or tell it from another."""
    hidden = letter in _BLANK or letter in _HYPHENS or (letter != " " and unicodedata.category(letter) == "Zs")
    if not hidden and unicodedata.category(letter) not in _UNSEEN:
        return letter
    return letter.encode("unicode_escape").decode("ascii")


def shown(name: str) -> str:
    """Return the name for a message: invisible letters, look-alike dashes and blanks at the ends are escaped."""
    if name.isascii() and name.isprintable() and name.strip(" ") == name:
        return name
    inner = name.strip(" ")
    left = len(name) - len(name.lstrip(" ")) if inner else len(name)
    right = len(name) - len(inner) - left
    return r"\x20" * left + "".join(map(escape_letter, inner)) + r"\x20" * right


def skeleton(name: str) -> str:
    """Return the form that look-alikes share: no capitals, invisible letters, kinds of dashes, widths or scripts."""
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
    """Known names, to suggest one in place of a name that is unknown."""

    def __init__(self, known: Iterable[str]) -> None:
        self._by_look: dict[str, list[str]] = {}
        self._by_number: dict[str, list[str]] = {}
        for name in dict.fromkeys(known):
            form = skeleton(name)
            self._by_look.setdefault(form, []).append(name)
            self._by_number.setdefault(_number_key(form), []).append(name)

    def look_alikes(self, wanted: str) -> list[str]:
        """Return the other known names that look the same."""
        return sorted(name for name in self._by_look.get(skeleton(wanted), ()) if name != wanted)

    def nearest(self, wanted: str, most: int = _SUGGESTED) -> list[str]:
        """Return at most `most` known names that the writer may have meant, the likeliest first.

        Look-alikes if there are any; else names that differ only in zeros before numbers or in separators; else names
        that differ in some letters.
        """
        form = skeleton(wanted)
        names = self.look_alikes(wanted) or sorted(self._by_number.get(_number_key(form), ()))
        if not names:
            near = difflib.get_close_matches(form, self._by_look, n=_COMPARED, cutoff=_LEAST_ALIKE)
            near.sort(key=lambda other: (-difflib.SequenceMatcher(None, other, form).ratio(), other))
            names = [name for other in near for name in self._by_look[other]]
        return [name for name in names if name != wanted][:most]

    def did_you_mean(self, wanted: str, most: int = _SUGGESTED) -> str | None:
        """Return a question with the nearest names, None if none is near."""
        near = self.nearest(wanted, most)
        return f"did you mean {' or '.join(map(shown, near))}?" if near else None


def _number_key(form: str) -> str:
    """Return the form without separators and without zeros before numbers."""
    return _SEPARATORS.sub("", _NUMBER_PADDING.sub("", form))
