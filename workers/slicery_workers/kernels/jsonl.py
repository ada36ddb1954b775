"""Check JSON Lines byte by byte: a state machine for the grammar of JSON (RFC 8259), fed in blocks.

What a byte does in a state is looked up in a table: it leads to another state, or to an action, which depends on
the array or object around. Runs of plain characters in strings, most of what there is, pass without the table.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicery_workers.kernels import kernel
from slicery_workers.kernels.bare import LANES, found_below, found_byte, inner, lowest_bit, word_at
from slicery_workers.kernels.values import n_digits

MOST_DEPTH = 512
"""Arrays and objects within one another; RFC 8259 §9 lets a parser limit them, and Python's json has near 1,000."""

# Around values. A line is in LINE until its first byte that is not blank, in AFTER_ALL behind its value.
FILE, BOM1, BOM2, LINE, VALUE, ITEM, FIRST_NAME, NAME, COLON, AFTER_ITEM, AFTER_MEMBER, AFTER_ALL = range(12)
# Within strings: escapes, and characters of UTF-8 by the bytes that may follow (RFC 3629 §4).
STRING, ESCAPE, HEX4, HEX3, HEX2, HEX1, MORE1, MORE2, MORE3, MORE_E0, MORE_ED, MORE_F0, MORE_F4 = range(
    12, 25
)
# Within numbers.
MINUS, ZERO, INTEGER, POINT, FRACTION, E, E_SIGN, EXPONENT = range(25, 33)
# Within words: LITERAL is the first state of the first one.
LITERAL = 33
TOO_DEEP = 62
# What is no state is an action.
ACTIONS = 64
(
    BEGIN,
    OPEN_OBJECT,
    OPEN_ARRAY,
    CLOSE,
    OPEN_NAME,
    OPEN_STRING,
    END_STRING,
    END_NUMBER,
    END_LITERAL,
    END_LINE,
) = range(ACTIONS, ACTIONS + 10)
MALFORMED = 255

STATE, AFTER, IN_NAME, DEPTH, LINE_START, N_LINES = range(6)
"""Places in the state: the state, that behind the value, whether a string is a name, the depth, and the lines."""

LITERALS = ("true", "false", "null")
NOT_NUMBERS = ("NaN", "Infinity")

_EIGHT, _LANES, _AHEAD = np.uintp(8), np.uintp(LANES), np.uintp(LANES + 8)
_QUOTE, _BACKSLASH = b'"\\'
_BYTE = np.uint64(0xFF)
_ESCAPED = np.isin(np.arange(256), list(b'"\\/bfnrt'))

_BLANKS = b" \t\r"
_DIGITS = b"0123456789"


def new_state(*, first: bool) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the state at the beginning of a text, or of any other line; and the stack of what is open."""
    state = np.zeros(6, np.int64)
    state[STATE], state[AFTER] = FILE if first else LINE, AFTER_ALL
    stack = np.zeros(MOST_DEPTH + 1, np.uint8)
    stack[0] = AFTER_ALL
    return state, stack


@cache
def table(*, allow_nan: bool) -> NDArray[np.uint8]:
    """Return uint8 (states × 256,): where each byte leads from each state, to a state or an action."""
    rules = np.full((ACTIONS, 256), MALFORMED, np.uint8)
    _add_structure(rules)
    _add_strings(rules)
    _add_numbers(rules)
    state = LITERAL
    for word in LITERALS + (NOT_NUMBERS if allow_nan else ()):
        _add_word(rules, word, state)
        state += len(word) - 1
    if allow_nan:
        rules[MINUS, ord("I")] = rules[VALUE, ord("I")]
    rules[ITEM] = np.where(rules[ITEM] == MALFORMED, rules[VALUE], rules[ITEM])
    return rules.reshape(-1)


def word_of(state: int) -> str:
    """Return the word that a state is within; empty for others."""
    first = LITERAL
    for word in LITERALS + NOT_NUMBERS:
        if first <= state < first + len(word) - 1:
            return word
        first += len(word) - 1
    return ""


@kernel
def scan(
    block: NDArray[np.uint8],
    position: int,
    rules: NDArray[np.uint8],
    state: NDArray[np.int64],
    stack: NDArray[np.uint8],
    starts: NDArray[np.int64],
) -> tuple[int, np.int64]:
    """Follow the next bytes (uint8, (n,)), which begin at `position`.

    Writes into `starts` (int64, at least (n // 2 + 2,)) where lines with a value begin. Returns how many that
    are, and the index of the first byte that is not JSON, or -1; `state` then is the one that met it.
    """
    # Whatever is an index is unsigned: what can be negative is checked for it, and that takes 40 % of the time.
    n, i, one, eight, string = (
        np.uintp(len(block)),
        np.uintp(0),
        np.uintp(1),
        np.uintp(8),
        np.uintp(STRING),
    )
    now, after, in_name, depth = np.uintp(state[STATE]), np.uintp(state[AFTER]), state[IN_NAME], state[DEPTH]
    n_starts, bad = 0, np.int64(-1)
    while i < n:
        if now == string:
            while i < n and rules[(string << eight) | block[i]] == STRING:
                i += one
            if i == n:
                break
        target = rules[(now << eight) | block[i]]
        i += one
        if target < ACTIONS:
            now = np.uintp(target)
            if target in (INTEGER, FRACTION):
                i = _pass_digits(block, i, n)
        elif target == END_STRING:
            now = np.uintp(COLON) if in_name else after
        elif target == OPEN_NAME:
            now, in_name = string, 1
        elif target == OPEN_STRING:
            now, in_name = string, 0
            i = _pass_plain(block, i, n)  # names are short, and alike in all lines: byte by byte is as quick
        elif target == END_NUMBER:
            now = after
            i -= one
        elif target == END_LITERAL:
            now = after
        elif target in (OPEN_OBJECT, OPEN_ARRAY):
            if depth == MOST_DEPTH:
                now, bad = np.uintp(TOO_DEEP), np.int64(i) - 1
                break
            depth += 1
            is_object = target == OPEN_OBJECT
            now = np.uintp(FIRST_NAME if is_object else ITEM)
            after = np.uintp(AFTER_MEMBER if is_object else AFTER_ITEM)
            stack[depth] = after
        elif target == CLOSE:
            depth -= 1
            after = np.uintp(stack[depth])
            now = after
        elif target == BEGIN:
            starts[n_starts] = state[LINE_START]
            n_starts += 1
            now = np.uintp(VALUE)
            i -= one
        elif target == END_LINE:
            now = np.uintp(LINE)
            state[LINE_START] = position + np.int64(i)
            state[N_LINES] += 1
        else:
            bad = np.int64(i) - 1
            break
    state[STATE], state[AFTER], state[IN_NAME], state[DEPTH] = now, after, in_name, depth
    return n_starts, bad


@inner
def _pass_plain(block: Any, i: Any, n: Any) -> Any:
    """Pass over characters that stand for themselves, 64 bytes at a time; those of the last bytes are left."""
    while i + _AHEAD <= n:
        end = i + _LANES
        found = found_below(block, i, 32) | found_byte(block, i, _QUOTE) | found_byte(block, i, _BACKSLASH)
        while found:
            skipped = lowest_bit(found)
            i += np.uintp(skipped)
            word = word_at(block, i)
            size = np.uint64(2) if _is_escape(word) else np.uint64(_character_size(word))
            if not size:
                return i
            i += np.uintp(size)
            found = found >> skipped >> size
        i = max(i, end)
    return i


@inner
def _is_escape(word: Any) -> Any:
    """Tell whether a word begins with a backslash and a byte that it escapes."""
    return word & _BYTE == _BACKSLASH and _ESCAPED[(word >> np.uint64(8)) & _BYTE]


@inner
def _character_size(word: Any) -> Any:
    """Return how many bytes a character has that begins a word and is not ASCII; 0 if it is, or is not UTF-8."""
    lead, second = word & _BYTE, (word >> np.uint64(8)) & _BYTE
    if lead < 0xC2 or lead > 0xF4 or not 0x80 <= second < 0xC0:
        return 0
    if lead < 0xE0:
        return 2
    third = (word >> np.uint64(16)) & _BYTE
    if not 0x80 <= third < 0xC0 or (lead == 0xE0 and second < 0xA0) or (lead == 0xED and second >= 0xA0):
        return 0
    if lead < 0xF0:
        return 3
    fourth = (word >> np.uint64(24)) & _BYTE
    if not 0x80 <= fourth < 0xC0 or (lead == 0xF0 and second < 0x90) or (lead == 0xF4 and second >= 0x90):
        return 0
    return 4


@inner
def _pass_digits(block: Any, i: Any, n: Any) -> Any:
    """Pass over digits, eight at a time; those of the last bytes are left."""
    while i + _EIGHT <= n:
        n_first = np.uintp(n_digits(word_at(block, i)))
        i += n_first
        if n_first < _EIGHT:
            return i
    return i


def _set(rules: NDArray[np.uint8], state: int, found: bytes | range, target: int) -> None:
    rules[state, list(found)] = target


def _add_structure(rules: NDArray[np.uint8]) -> None:
    rules[LINE] = BEGIN
    for state in (LINE, VALUE, ITEM, FIRST_NAME, NAME, COLON, AFTER_ITEM, AFTER_MEMBER, AFTER_ALL):
        _set(rules, state, _BLANKS, state)
    for state in (LINE, AFTER_ALL):
        _set(rules, state, b"\n", END_LINE)
    rules[FILE] = rules[LINE]
    for state, byte, target in ((FILE, 0xEF, BOM1), (BOM1, 0xBB, BOM2), (BOM2, 0xBF, LINE)):
        rules[state, byte] = target
    for state, found, target in (
        (VALUE, b"{", OPEN_OBJECT),
        (VALUE, b"[", OPEN_ARRAY),
        (VALUE, b'"', OPEN_STRING),
        (ITEM, b"]", CLOSE),
        (FIRST_NAME, b"}", CLOSE),
        (FIRST_NAME, b'"', OPEN_NAME),
        (NAME, b'"', OPEN_NAME),
        (COLON, b":", VALUE),
        (AFTER_ITEM, b",", VALUE),
        (AFTER_ITEM, b"]", CLOSE),
        (AFTER_MEMBER, b",", NAME),
        (AFTER_MEMBER, b"}", CLOSE),
    ):
        _set(rules, state, found, target)


def _add_strings(rules: NDArray[np.uint8]) -> None:
    _set(rules, STRING, range(0x20, 0x80), STRING)
    _set(rules, STRING, b'"', END_STRING)
    _set(rules, STRING, b"\\", ESCAPE)
    _set(rules, ESCAPE, b'"\\/bfnrt', STRING)
    _set(rules, ESCAPE, b"u", HEX4)
    for state, target in ((HEX4, HEX3), (HEX3, HEX2), (HEX2, HEX1), (HEX1, STRING)):
        _set(rules, state, _DIGITS + b"abcdefABCDEF", target)
    for first, last, state in (
        (0xC2, 0xDF, MORE1),
        (0xE0, 0xEF, MORE2),
        (0xE0, 0xE0, MORE_E0),
        (0xED, 0xED, MORE_ED),
        (0xF1, 0xF3, MORE3),
        (0xF0, 0xF0, MORE_F0),
        (0xF4, 0xF4, MORE_F4),
    ):
        _set(rules, STRING, range(first, last + 1), state)
    for state, low, high, target in (
        (MORE1, 0x80, 0xBF, STRING),
        (MORE2, 0x80, 0xBF, MORE1),
        (MORE3, 0x80, 0xBF, MORE2),
        (MORE_E0, 0xA0, 0xBF, MORE1),
        (MORE_ED, 0x80, 0x9F, MORE1),
        (MORE_F0, 0x90, 0xBF, MORE2),
        (MORE_F4, 0x80, 0x8F, MORE2),
    ):
        _set(rules, state, range(low, high + 1), target)


def _add_numbers(rules: NDArray[np.uint8]) -> None:
    for state in (ZERO, INTEGER, FRACTION, EXPONENT):
        rules[state] = END_NUMBER
    _set(rules, VALUE, b"-", MINUS)
    for state in (VALUE, MINUS):
        _set(rules, state, b"123456789", INTEGER)
        _set(rules, state, b"0", ZERO)
    for state, target in (
        (INTEGER, INTEGER),
        (POINT, FRACTION),
        (FRACTION, FRACTION),
        (E, EXPONENT),
        (E_SIGN, EXPONENT),
        (EXPONENT, EXPONENT),
    ):
        _set(rules, state, _DIGITS, target)
    for state in (ZERO, INTEGER):
        _set(rules, state, b".", POINT)
    for state in (ZERO, INTEGER, FRACTION):
        _set(rules, state, b"eE", E)
    _set(rules, E, b"+-", E_SIGN)


def _add_word(rules: NDArray[np.uint8], word: str, first: int) -> None:
    """Add a state for each beginning of a word: `first` is the one behind its first letter."""
    letters = word.encode()
    rules[VALUE, letters[0]] = first
    for n, letter in enumerate(letters[1:], 1):
        rules[first + n - 1, letter] = first + n if n < len(letters) - 1 else END_LITERAL
