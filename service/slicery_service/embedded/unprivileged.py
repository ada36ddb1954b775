"""Runs a program as another user who may still pass through closed folders: `UID GID PROGRAM ARGUMENTS…`.

Run by its path, as root, with the standard library alone. PostgreSQL refuses to run as root, and its
binaries and data may lie below a folder such as /root (mode 0700) whose permissions are not ours to loosen.
On Linux the program therefore keeps one capability, CAP_DAC_OVERRIDE, as an ambient one (capabilities(7));
it can gain no other.
"""

from __future__ import annotations

import ctypes
import os
import sys

CAP_DAC_OVERRIDE = 1
PR_SET_KEEPCAPS = 8
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522


def become(uid: int, gid: int) -> None:
    """Take on another user for good; on Linux keep CAP_DAC_OVERRIDE across the coming exec."""
    linux = sys.platform.startswith("linux")
    if linux:
        _prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if linux:
        _keep_only(CAP_DAC_OVERRIDE)
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE)
        _prctl(PR_SET_NO_NEW_PRIVS, 1)


def _keep_only(capability: int) -> None:
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    mask = 1 << capability
    # Two records of effective, permitted, inheritable: capabilities 0 to 31, then 32 to 63.
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    _checked("capset", ctypes.CDLL(None, use_errno=True).capset(header, data))


def _prctl(option: int, *arguments: int) -> None:
    values = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    _checked("prctl", ctypes.CDLL(None, use_errno=True).prctl(option, *values))


def _checked(call: str, result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def main() -> None:
    """Become the user and replace this process by the program."""
    uid, gid, *argv = sys.argv[1:]
    become(int(uid), int(gid))
    os.execv(argv[0], argv)  # noqa: S606 (no shell is what we want)


if __name__ == "__main__":
    main()
