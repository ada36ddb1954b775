"""Text: lines, words or paragraphs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from slicery_service.formats import Format


class TextOptions(BaseModel):
    """Options of plain text."""

    model_config = ConfigDict(extra="forbid")

    boundary: Literal["line", "word", "paragraph"] = Field(
        default="line",
        description="what a record is: a line, a word up to the blanks behind it, or a paragraph up to the blank lines",
    )
    encoding: Literal["utf-8", "latin-1"] | None = Field(
        default=None, description="character encoding; detected while indexing when absent"
    )


def looks_like_text(text: bytes) -> bool:
    """Text holds no NUL and few control characters; XML is text, but its lines mean nothing by themselves."""
    sample = text[:4096]
    if sample.removeprefix(b"\xef\xbb\xbf").startswith(b"<?xml"):
        return False
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in sample)
    return bool(sample) and b"\0" not in sample and control * 50 <= len(sample)


TEXT = Format(
    name="text",
    kind="records",
    unit="line",
    description="Lines, words or paragraphs of text",
    suffixes=(".txt", ".log", ".text", ".lst"),
    media_type="text/plain",
    looks_like=looks_like_text,
    options=TextOptions,
    decoder_options=("encoding", "boundary"),
    unit_option="boundary",
)
