"""What a class is called: one rule for tables, folders, flags, cards, texts and Python.

A name is composed (NFC), without blanks around it, with single blanks inside, and without characters that nobody sees. Two
names that differ in no more than case, blanks, invisible characters or the form of a letter are one name: they are refused.
So is a name of more than 200 characters, or with control characters, ends of lines or marks of direction.
A name may hold a comma; in a list it may then stand in double quotes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from niwt_tf.errors import InputError, brief, suggestion

# Blanks of no width and hyphens that show at the end of a line alone; joiners are a part of emoji and of scripts, and stay.
_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u180e\u200b\u2060\ufeff"))


def plain_name(name: str) -> str:
    """Return a name as it is kept, so that a folder made on macOS equals its row in a table."""
    return _BLANKS.sub(" ", unicodedata.normalize("NFC", name).translate(_UNSEEN).strip())


LONGEST = 200
_BLANKS = re.compile(r"[^\S\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+")
# Control characters and ends of lines.
_REFUSED = {"Cc", "Zl", "Zp"}
# They turn the order of what follows, also beyond the name.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters that nobody sees
# How a letter before them is drawn, or nothing: an emoji has one of them or not, as a keyboard writes it.
_SELECTORS = frozenset(map(chr, (0x034F, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))


def check_name(name: str, where: str = "name") -> None:
    """Check what a class is called, whichever way the name came in: `where` is that way.

    Raises:
        InputError: it is empty, longer than 200 characters or of characters that nobody sees alone, has a control character,
            an end of a line or half a character in it, or marks of direction.
    """
    if not isinstance(name, str):
        raise InputError(f"{where} must be a text. Received: {brief(name)}.")
    plain = plain_name(name)
    if not 1 <= len(plain) <= LONGEST:
        raise InputError(f"{where} must have 1 to {LONGEST} characters. Received: {shown(plain)}, {len(plain)} characters.")
    if any(unicodedata.category(character) == "Cs" for character in plain):  # of the bytes of a file's name
        raise InputError(f"{where} must be UTF-8 text, which this is not: give it another name. Received: {shown(name)}.")
    check_shown(plain, where)
    if not any(unicodedata.category(each)[0] not in "CZM" and each not in _FILLERS for each in plain):
        raise InputError(f"{where} must have a visible character. Received: {shown(name)}.")


def check_shown(plain: str, where: str) -> None:
    """Check that what `where` names, a name of any kind, is shown on one line and in its order.

    Raises:
        InputError: it has a control character, an end of a line or a mark of direction.
    """
    if any(unicodedata.category(character) in _REFUSED for character in plain):
        raise InputError(f"{where} must be one line without control characters. Received: {shown(plain)}.")
    if any(character in _DIRECTIONS for character in plain):
        raise InputError(f"{where} must not contain marks of text direction. Received: {shown(plain)}.")


def shown(name: str) -> str:
    """Return the beginning of a name for a message, its characters written out where one of them is not seen."""
    return repr(name[:60]) if name[:60].isprintable() else ascii(name[:60])


def likeness(name: str) -> str:
    """Return what two names share that are taken for one: without case, blanks, invisible characters and forms of letters."""
    unseen = _FILLERS | _SELECTORS
    shown = "".join(each for each in name if unicodedata.category(each) not in ("Cf", "Cc") and each not in unseen)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", shown).casefold())
    return "".join(folded.split())


def alike(name: str, others: Iterable[str]) -> str | None:
    """Return the first of other names that is taken for this one."""
    key = likeness(name)
    return next((other for other in others if likeness(other) == key), None)


def check_apart(names: Sequence[str], where: str) -> None:
    """Check that each is a name, and that they are told apart by more than case, blanks and what nobody sees.

    `where` is what holds them.

    Raises:
        InputError: naming one that is none (see `check_name`), or two that are not told apart.
    """
    for name in names:
        check_name(name, f"{where}: the name of a class")
    first: dict[str, str] = {}
    for name in names:
        key = likeness(name)
        other = first.get(key)
        first.setdefault(key, name)
        if other is not None:
            received = f"{other!r} twice" if other == name else f"{shown_apart(other, name)}"
            rule = "must give each class a name that differs in more than case, blanks or invisible characters"
            raise InputError(f"{where} {rule}. Received: {received}.")


def shown_apart(first: str, second: str) -> str:
    """Return two names for a message, with their invisible characters written out where they look the same."""
    same = plain_name(first) == plain_name(second) or not (first.isprintable() and second.isprintable())
    return f"{ascii(first)} and {ascii(second)}" if same else f"{first!r} and {second!r}"


def places_of(wanted: Sequence[str], known: Sequence[str], rule: str) -> list[int]:
    """Return where the names of a list stand among known ones; parts of a name that has commas are put together again.

    `rule` begins the sentence: "unseen must name classes of the data set 'birds'".

    Raises:
        InputError: a name is not known (the nearest is suggested) or occurs twice.
    """
    place_of = {plain_name(name): place for place, name in enumerate(known)}
    without_blanks = {"".join(name.split()): place for name, place in place_of.items() if "," in name}
    found: list[int] = []
    at = 0
    while at < len(wanted):
        for end in range(len(wanted), at, -1):
            joined = plain_name(", ".join(wanted[at:end]))
            place = place_of.get(joined, without_blanks.get("".join(joined.split())))
            if place is not None:
                break
        else:
            near = alike(wanted[at], known)
            advice = f" Did you mean {near!r}?" if near is not None else suggestion(wanted[at], known)
            raise InputError(f"{rule}. Received: {wanted[at]!r}.{advice}")
        found.append(place)
        at = end
    if len(set(found)) < len(found):
        raise InputError(f"{rule}, each class once. Received: {listed_names(wanted)!r}.")
    return found


def listed_names(names: Iterable[str]) -> str:
    """Return names as a list on a command line, which `Option.parse` reads: one with a comma stands in double quotes.

    So does one with such quotes, which are then doubled, and one that alone would stand for no name.
    """
    quoted = (name.replace('"', '""') for name in names)
    return ",".join(f'"{name}"' if {",", '"'} & {*name} or name == "None" else name for name in quoted)
