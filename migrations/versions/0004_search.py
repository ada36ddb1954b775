"""Search: what a dataset can be found by, with an index over parts of words, and indexes for sorting."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NAMED = ("columns", "contigs", "fields", "keys", "sequences", "sample_names", "dimensions", "bands")


def upgrade() -> None:
    op.add_column("dataset", sa.Column("search_text", sa.Text(), server_default="", nullable=False))
    op.add_column("dataset", sa.Column("search_grams", TSVECTOR(), nullable=True))
    if not context.is_offline_mode():
        _fill(op.get_bind())
    op.create_index(
        "ix_dataset_search_grams",
        "dataset",
        ["search_grams"],
        postgresql_using="gin",
        # Without a list of pending entries, so that no search has to go through one.
        postgresql_with={"fastupdate": False},
    )
    op.create_index("ix_dataset_lower_name_id", "dataset", [sa.text("lower(name)"), "id"])
    op.create_index("ix_dataset_size_bytes_id", "dataset", ["size_bytes", "id"])
    op.create_index(
        "ix_dataset_n_records_id", "dataset", [sa.text("coalesce(n_records, '-1'::bigint)"), "id"]
    )
    # Totals and counts by format, state and source come from this index alone.
    op.create_index(
        "ix_dataset_groups",
        "dataset",
        ["format", "state", "source"],
        postgresql_include=["size_bytes", "n_records"],
    )
    op.create_index("ix_dataset_source_created_at_id", "dataset", ["source", "created_at", "id"])


def downgrade() -> None:
    names = (
        "source_created_at_id",
        "groups",
        "n_records_id",
        "size_bytes_id",
        "lower_name_id",
        "search_grams",
    )
    for name in names:
        op.drop_index(f"ix_dataset_{name}", table_name="dataset")
    op.drop_column("dataset", "search_grams")
    op.drop_column("dataset", "search_text")


def _fill(connection: sa.Connection) -> None:
    rows = connection.execute(sa.text("SELECT id, name, tags, uris, summary FROM dataset")).all()
    keys = sa.text(
        "SELECT o.key FROM object o JOIN dataset d ON d.id = o.dataset_id AND d.generation = o.generation "
        "WHERE d.id = :id ORDER BY o.ordinal LIMIT 1000"
    )
    fill = sa.text(
        "UPDATE dataset SET search_text = :text, search_grams = array_to_tsvector(:grams) WHERE id = :id"
    )
    for row in rows:
        found = connection.scalars(keys, {"id": row.id}).all()
        text = "\n".join(dict.fromkeys([row.name, *row.tags, *row.uris, *_names(row.summary), *found]))
        text = text.casefold()[:16_000]
        grams = sorted({text[at : at + 3] for at in range(len(text))})
        connection.execute(fill, {"id": row.id, "text": text, "grams": grams})


def _names(summary: dict[str, Any]) -> list[str]:
    names: list[str] = []
    for member in NAMED:
        held = summary.get(member)
        if isinstance(held, dict):
            names += held
        elif isinstance(held, list):
            names += [each.get("name") if isinstance(each, dict) else each for each in held]
    return [name for name in names if isinstance(name, str)]
