"""Tags of XML as bytes, of an encoding in which tags are ASCII, and the numbers in their attributes.

What is read of a tag goes into an int64 array, `tag` (TAG_SIZE,): NAME and SHAPE, and for each of four attributes where
its value begins and ends in the text, both 0 where the tag has none. Names are hashed, without their namespace prefix.
Comments, CDATA and processing instructions are passed over; entities are not known.
"""

from __future__ import annotations

from slicery_workers.kernels import kernel

_MASK = (1 << 62) - 1


def hashed(name: str) -> int:
    """Return what `read_tag` makes of an element's or an attribute's name."""
    found = 0
    for letter in name.encode():
        found = (found * 131 + letter) & _MASK
    return found


NAME, SHAPE, ACCESSION, VALUE, REF, COUNT, TAG_SIZE = 0, 1, 2, 4, 6, 8, 10
OPENS, CLOSES, IS_SINGLE = range(3)
NOT_WHOLE, BAD, IS_DOCTYPE = -1, -2, -3
"""What may be amiss with a tag."""

_ACCESSION, _VALUE, _REF, _COUNT = (hashed(each) for each in ("accession", "value", "ref", "count"))


@kernel
def next_tag(text, at):  # type: ignore[no-untyped-def]
    """Return the place of the next tag's `<`, behind comments, CDATA and processing instructions; or what is amiss."""
    while True:
        while at < len(text) and text[at] != 60:  # <
            at += 1
        if at + 4 > len(text):
            return NOT_WHOLE
        if text[at + 1] == 33:  # !
            at = _behind_declaration(text, at)
        elif text[at + 1] == 63:  # ?
            at = _behind(text, at + 2, 63, 62)
        else:
            return at
        if at < 0:
            return at


@kernel
def read_tag(text, at, tag):  # type: ignore[no-untyped-def]
    """Read the tag at `at`: name, shape and where the attributes' values stand; return its end, or what is amiss."""
    size = len(text)
    tag[SHAPE] = CLOSES if text[at + 1] == 47 else OPENS  # /
    i = at + 2 if text[at + 1] == 47 else at + 1
    name, local = 0, i
    while i < size and text[i] > 32 and text[i] != 62 and text[i] != 47:  # > /
        if text[i] == 58:  # :
            name, local = 0, i + 1
        else:
            name = (name * 131 + text[i]) & _MASK
        i += 1
    if i == local and i < size:
        return BAD
    tag[NAME] = name
    for place in range(ACCESSION, TAG_SIZE):
        tag[place] = 0
    while i < size:
        if text[i] == 62:
            return i + 1
        if text[i] == 47:
            tag[SHAPE] = IS_SINGLE
            i += 1
        elif text[i] <= 32:
            i += 1
        else:
            i = _read_attribute(text, i, tag)
            if i < 0:
                return i
    return NOT_WHOLE


@kernel
def _read_attribute(text, i, tag):  # type: ignore[no-untyped-def]
    """Note where an attribute's value stands, if it matters; return the place behind, or what is amiss."""
    size, name = len(text), 0
    while i < size and text[i] > 32 and text[i] != 61 and text[i] != 62:  # = >
        name = (name * 131 + text[i]) & _MASK
        i += 1
    while i < size and text[i] <= 32:
        i += 1
    if i < size and text[i] != 61:
        return BAD
    i += 1
    while i < size and text[i] <= 32:
        i += 1
    if i >= size:
        return NOT_WHOLE
    quote = text[i]
    if quote != 34 and quote != 39:
        return BAD
    start = i + 1
    i = start
    while i < size and text[i] != quote:
        i += 1
    if i >= size:
        return NOT_WHOLE
    place = 0
    if name == _ACCESSION:
        place = ACCESSION
    elif name == _VALUE:
        place = VALUE
    elif name == _REF:
        place = REF
    elif name == _COUNT:
        place = COUNT
    if place:
        tag[place], tag[place + 1] = start, i
    return i + 1


@kernel
def _behind_declaration(text, at):  # type: ignore[no-untyped-def]
    """Return the place behind a comment or CDATA, or what is amiss."""
    if text[at + 2] == 45:  # <!--
        return _behind(text, at + 5, 45, 45)
    if text[at + 2] == 91:  # <![CDATA[
        return _behind(text, at + 10, 93, 93)
    return IS_DOCTYPE


@kernel
def _behind(text, at, before, last):  # type: ignore[no-untyped-def]
    """Return the place behind the next `>` with these two bytes before it, or with one, where `last` is the `>`."""
    for i in range(at + 1, len(text)):
        if text[i] != 62:
            continue
        if text[i - 1] == (before if last == 62 else last) and (last == 62 or text[i - 2] == before):
            return i + 1
    return NOT_WHOLE


@kernel
def integer(text, a, b):  # type: ignore[no-untyped-def]
    """Return a whole number, and whether it is one; blanks around it and zeros behind a point do not matter."""
    while a < b and text[a] <= 32:
        a += 1
    while b > a and text[b - 1] <= 32:
        b -= 1
    sign = 1
    if a < b and (text[a] == 45 or text[a] == 43):
        sign = 44 - text[a]
        a += 1
    if a == b:
        return 0, False
    number, n_digits, fraction = 0, 0, False
    while a < b:
        byte = text[a]
        a += 1
        if byte == 46 and not fraction:
            fraction = True
            continue
        if byte < 48 or byte > 57 or (fraction and byte != 48):
            return 0, False
        if not fraction:
            number = number * 10 + byte - 48
            n_digits += number > 0
    return sign * number, n_digits <= 18


@kernel
def real(text, a, b):  # type: ignore[no-untyped-def]
    """Return a number of at most some 15 digits' exactness, which is for pictures; -1 where it is none."""
    while a < b and text[a] <= 32:
        a += 1
    number, scale, exponent, sign, n_digits = 0.0, 0, 0, 1, 0
    in_fraction = in_exponent = False
    while a < b:
        byte = text[a]
        if 48 <= byte <= 57:
            n_digits += 1
            if in_exponent:
                exponent = min(exponent * 10 + byte - 48, 400)
            else:
                number = number * 10 + (byte - 48)
                scale += in_fraction
        elif byte == 46 and not in_fraction and not in_exponent:
            in_fraction = True
        elif (byte == 69 or byte == 101) and n_digits and not in_exponent:
            in_exponent = True
            if a + 1 < b and (text[a + 1] == 45 or text[a + 1] == 43):
                sign = 44 - text[a + 1]
                a += 1
        elif byte > 32:
            return -1.0
        a += 1
    if n_digits == 0:
        return -1.0
    return number * 10.0 ** (sign * exponent - scale)
