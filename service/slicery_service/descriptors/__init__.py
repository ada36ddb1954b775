"""What the service knows of the built-in formats, one module each; each is found by its entry point."""
