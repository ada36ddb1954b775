"""The REST API: HTTP only. Decisions and SQL stand in the modules beside this package."""
