"""Glob patterns over object keys: `*`, `?` and `[a-z]` stay within one path segment, `**` crosses segments.

A key is a plain string to a store; "/" has a meaning only here, where people expect that of a shell
(POSIX.1-2017 XCU §2.13.3, plus the `**` of most shells).

Patterns come from requests, so the translation must not backtrack without bound, as `.*a.*a.*a` does. A
pattern is split at its `**`s into chunks, and a chunk at its `*`s into pieces; all but the last of each are
matched at their first place and never again (atomic groups). That loses no match: what a later place would
skip, the next wildcard can skip as well.
"""

from __future__ import annotations

import re
from functools import lru_cache

from slicery_service.errors import InvalidRequest

WILDCARDS = "*?["

_TOKEN = re.compile(
    r"(?P<folders>(?:(?<=/)|^)\*\*/)|(?P<any>\*\*)|(?P<star>\*)|(?P<one>\?)"
    r"|\[(?P<not>!?+)(?P<set>[^\]]+|\][^\]]*)\]|(?P<literal>.)",
    re.DOTALL,
)
_MEMBER = re.compile(r"(.)-(.)|(.)", re.DOTALL)
_LEAPS = {"any": ".*?", "folders": "(?:.*?/)??"}


def has_wildcard(pattern: str) -> bool:
    """Say whether the pattern holds a character that can match more than itself."""
    return any(character in pattern for character in WILDCARDS)


def literal_prefix(pattern: str) -> str:
    """Return what every matching key begins with: the pattern up to its first wildcard."""
    return re.split(r"[*?\[]", pattern, maxsplit=1)[0]


@lru_cache(maxsize=256)
def key_pattern(glob: str) -> re.Pattern[str]:
    """Translate a glob; use the result's `fullmatch` on keys.

    `**/` also stands for no folder at all; a `[` that is never closed stands for itself. Raises
    InvalidRequest for a reversed range such as `[z-a]`.
    """
    try:
        return re.compile(_translate(glob), re.DOTALL)
    except re.error as exc:
        raise InvalidRequest(f"the pattern {glob!r} is malformed: {exc.msg}") from exc


def _translate(glob: str) -> str:
    """Join the chunks between `**`s: the first stands at the start, the last must reach the end."""
    leap, chunk = "", list[re.Match[str]]()
    done = ""
    for token in _TOKEN.finditer(glob):
        if token.lastgroup not in _LEAPS:
            chunk.append(token)
            continue
        done += f"(?>{leap}{_chunk(chunk)})"
        leap, chunk = _LEAPS[token.lastgroup], []
    return done + leap + _chunk(chunk)


def _chunk(tokens: list[re.Match[str]]) -> str:
    """Join the pieces between `*`s; only the last may be tried at more than one place."""
    pieces = [""]
    for token in tokens:
        if token.lastgroup == "star":
            pieces.append("")
        else:
            pieces[-1] += _one(token)
    middle = "".join(f"(?>[^/]*?{piece})" for piece in pieces[1:-1])
    return pieces[0] + middle + (f"[^/]*?{pieces[-1]}" if len(pieces) > 1 else "")


def _one(token: re.Match[str]) -> str:
    """Translate what stands for exactly one character; only a literal "/" matches "/"."""
    if token.lastgroup == "one":
        return "[^/]"
    if token.lastgroup == "set":
        members = "".join(_member(member) for member in _MEMBER.finditer(token["set"]))
        return f"[^/{members}]" if token["not"] else f"(?!/)[{members}]"
    return re.escape(token["literal"])


def _member(member: re.Match[str]) -> str:
    first, last, single = member.groups()
    return re.escape(single) if single else f"{re.escape(first)}-{re.escape(last)}"
