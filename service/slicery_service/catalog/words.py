"""Numbers and moments in words, as pages show them."""

from __future__ import annotations

from datetime import UTC, datetime

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
NARROW = "\N{NARROW NO-BREAK SPACE}"
DASH = "\N{EN DASH}"


def size(n_bytes: float | None) -> str:
    """Write a number of bytes in decimal units with three digits: 1.53 GB."""
    if n_bytes is None:
        return DASH
    value, unit = float(n_bytes), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}\N{NO-BREAK SPACE}{UNITS[unit]}"


def count(number: float | None) -> str:
    """Write a whole number with commas."""
    return DASH if number is None else f"{number:,.0f}"


def plural(number: int | None, word: str | None) -> str:
    """Write a number with its word: 1 read, 20,000 reads."""
    name = word or "record"
    return f"{count(number)}\N{NO-BREAK SPACE}{name if number == 1 else many(name)}"


def many(word: str) -> str:
    """Return the plural of a word: reads, queries, spectra."""
    if word == "spectrum":
        return "spectra"
    return word[:-1] + "ies" if word.endswith("y") else word + "s"


def duration(seconds: float | None) -> str:
    """Write a time span in its two largest units: 850 ms, 12.3 s, 4 min 10 s, 2 h 5 min."""
    if seconds is None:
        return DASH
    if seconds < 1:
        return f"{seconds * 1000:.0f}\N{NO-BREAK SPACE}ms"
    if seconds < 60:
        return f"{seconds:.1f}\N{NO-BREAK SPACE}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}\N{NO-BREAK SPACE}min {rest}\N{NO-BREAK SPACE}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}\N{NO-BREAK SPACE}h {minutes}\N{NO-BREAK SPACE}min"
    return f"{hours // 24}\N{NO-BREAK SPACE}days"


def ago(moment: datetime | str | None, now: datetime | None = None) -> str:
    """Write how long ago a moment was, in its largest unit."""
    found = moment_of(moment)
    if found is None:
        return DASH
    seconds = ((now or datetime.now(UTC)) - found).total_seconds()
    if seconds < 0:
        return f"in {_span(-seconds)}"
    return "just now" if seconds < 5 else f"{_span(seconds)} ago"


def at(moment: datetime | str | None) -> str:
    """Write a moment in UTC to the second."""
    found = moment_of(moment)
    return DASH if found is None else found.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def moment_of(moment: datetime | str | None) -> datetime | None:
    """Read a moment that may be text in ISO 8601."""
    return datetime.fromisoformat(moment) if isinstance(moment, str) else moment


def _span(seconds: float) -> str:
    for word, length in (
        ("year", 365 * 86400),
        ("month", 30 * 86400),
        ("day", 86400),
        ("hour", 3600),
        ("minute", 60),
    ):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {word}{'' if number == 1 else 's'}"
    return f"{int(seconds)} seconds"
