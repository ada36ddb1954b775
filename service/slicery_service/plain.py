"""Text from data, made so that it does nothing but be read: what a page or a terminal shows of it is what it holds."""

from __future__ import annotations

import re
from typing import Any

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SHOWN = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: "\N{SYMBOL FOR DELETE}",
    **dict.fromkeys(range(0x80, 0xA0), _REPLACEMENT),
    **dict.fromkeys(range(0xD800, 0xE000), _REPLACEMENT),
    **{code: f"\\u{code:04x}" for code in _BIDI},
    0xFEFF: "\\ufeff",
}
_FOUND = re.compile("[" + "".join(map(re.escape, map(chr, _SHOWN))) + "]")


def plain(text: str) -> str:
    """Write control characters as symbols, what is no text as U+FFFD, and marks that turn text around spelt out."""
    return text.translate(_SHOWN) if _FOUND.search(text) else text


def plain_json(value: Any) -> Any:
    """Make all texts of a JSON value plain."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(str(name)): plain_json(each) for name, each in value.items()}
    return [plain_json(each) for each in value] if isinstance(value, list) else value
