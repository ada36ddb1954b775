"""`python -m slicery_service` is `slicery-service`."""

from slicery_service.cli import main

if __name__ == "__main__":
    main()
