"""The built-in decoders, one module per format; each is found by its entry point, like anyone's plug-in."""
