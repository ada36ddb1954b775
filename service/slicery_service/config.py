"""Settings from the environment (`SLICERY_…`), read once a process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where the servers are, and the limits the service keeps.

    Sizes are in bytes, times in seconds.
    """

    model_config = SettingsConfigDict(env_prefix="SLICERY_", extra="ignore")

    database_url: str = Field(
        default="postgresql://localhost/slicery",
        description="PostgreSQL, as libpq understands it: postgresql://user:password@host:port/database",
    )
    redis_url: str = Field(
        default="redis://localhost:6379/0",
        description="Redis or Valkey: the broker of Celery",
    )
    sources_file: Path = Field(
        default=Path("sources.toml"),
        description="TOML file that names the object stores and the prefixes that may be read",
    )
    default_expires_in: int = Field(default=3600, ge=1, description="lifetime of URLs when none is asked for")
    max_expires_in: int = Field(
        default=7 * 24 * 3600, ge=1, le=7 * 24 * 3600, description="longest lifetime of URLs"
    )
    max_slices: int = Field(default=1_000_000, ge=1, description="most slices one partition may have")
    page_limit: int = Field(default=10_000, ge=1, description="most tickets on one JSON page")
    first_page: int = Field(default=100, ge=1, description="tickets that come with a new partition")
    index_cache_bytes: int = Field(
        default=512 << 20, ge=0, description="memory for indexes kept ready to plan"
    )
    stretch_bytes: int = Field(default=256 << 20, ge=64, description="bytes of one parallel indexing task")
    lost_seconds: int = Field(
        default=60,
        ge=5,
        description="silence of a running job after which it is taken for lost, and sent again",
    )
    max_objects: int = Field(default=100_000, ge=1, description="most objects of one dataset")
    session_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="secret that signs the catalog's sessions, the same for all processes of the service; "
        "without it nobody can log in to the catalog",
    )
    session_seconds: int = Field(
        default=12 * 3600, ge=60, description="lifetime of a session of the catalog, from its last use"
    )
    catalog_download_bytes: int = Field(
        default=64 << 20,
        ge=0,
        description="largest slice that people can download in the catalog, in bytes fetched; 0 turns that off",
    )
    anonymous_read: bool = Field(
        default=False,
        description="whether the catalog's pages are shown to anybody, without a key, previews of records among them",
    )


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return this process's settings; tests call `get_settings.cache_clear()` after changing the environment."""
    return Settings()
