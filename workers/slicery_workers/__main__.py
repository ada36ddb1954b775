"""`python -m slicery_workers` is the `slicery-workers` command."""

from slicery_workers.cli import main

if __name__ == "__main__":
    main()
