"""`python -m slicery`, and the command `slicery`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say how to install what it needs."""
    try:
        from slicery.cli import app
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in ("typer", "rich", "click"):
            raise
        sys.stderr.write(f"slicery: the command line needs {exc.name}: pip install 'slicery[cli]'\n")
        sys.exit(3)
    app(prog_name="slicery")


if __name__ == "__main__":
    main()
