"""Read the directories of TIFF objects with few requests."""
