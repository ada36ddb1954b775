"""The initial schema: datasets, their generations, indexes and jobs; partitions; API keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_key_hash")),
    )
    op.create_table(
        "dataset",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("compression", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=True),
        sa.Column("tags", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("options", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("n_objects", sa.Integer(), nullable=False),
        sa.Column("record_unit", sa.Text(), nullable=True),
        sa.Column("n_records", sa.BigInteger(), nullable=True),
        sa.Column("summary", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("error", JSONB(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "state IN ('registered', 'indexing', 'indexed', 'stale', 'failed')",
            name=op.f("ck_dataset_state_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset")),
        sa.UniqueConstraint("uri", "format", name=op.f("uq_dataset_uri_format")),
    )
    op.create_index("ix_dataset_created_at_id", "dataset", ["created_at", "id"], unique=False)
    op.create_index(
        "ix_dataset_format_created_at_id", "dataset", ["format", "created_at", "id"], unique=False
    )
    op.create_index("ix_dataset_state_created_at_id", "dataset", ["state", "created_at", "id"], unique=False)
    op.create_index("ix_dataset_tags", "dataset", ["tags"], unique=False, postgresql_using="gin")
    op.create_table(
        "generation",
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("summary", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "state IN ('building', 'live', 'retired')", name=op.f("ck_generation_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["dataset.id"], name=op.f("fk_generation_dataset"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("dataset_id", "number", name=op.f("pk_generation")),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("bytes_done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("bytes_total", sa.BigInteger(), nullable=False),
        sa.Column("units_done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("units_total", sa.Integer(), nullable=True),
        sa.Column("error", JSONB(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_job_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["dataset.id"], name=op.f("fk_job_dataset"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("dataset_id", "generation", name=op.f("uq_job_dataset_id_generation")),
    )
    op.create_index("ix_job_created_at_id", "job", ["created_at", "id"], unique=False)
    op.create_index("ix_job_state_created_at_id", "job", ["state", "created_at", "id"], unique=False)
    op.create_index(
        "uq_job_dataset_id_active",
        "job",
        ["dataset_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_table(
        "partition",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("strategy", JSONB(), nullable=False),
        sa.Column("selection", JSONB(), nullable=True),
        sa.Column("n_slices", sa.BigInteger(), nullable=False),
        sa.Column("n_records", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["dataset.id"], name=op.f("fk_partition_dataset"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partition")),
    )
    op.create_index("ix_partition_dataset_id", "partition", ["dataset_id"], unique=False)
    op.create_table(
        "index_draft",
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("object", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id", "generation"],
            ["generation.dataset_id", "generation.number"],
            name=op.f("fk_index_draft_generation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("dataset_id", "generation", "object", "ordinal", name=op.f("pk_index_draft")),
    )
    op.create_table(
        "index_segment",
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("object", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_record", sa.BigInteger(), nullable=False),
        sa.Column("n_records", sa.BigInteger(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("stop", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id", "generation"],
            ["generation.dataset_id", "generation.number"],
            name=op.f("fk_index_segment_generation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "dataset_id", "generation", "object", "ordinal", name=op.f("pk_index_segment")
        ),
    )
    op.create_table(
        "object",
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=True),
        sa.Column("last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("compression", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["dataset_id", "generation"],
            ["generation.dataset_id", "generation.number"],
            name=op.f("fk_object_generation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("dataset_id", "generation", "ordinal", name=op.f("pk_object")),
    )


def downgrade() -> None:
    op.drop_table("object")
    op.drop_table("index_segment")
    op.drop_table("index_draft")
    op.drop_table("partition")
    op.drop_table("job")
    op.drop_table("generation")
    op.drop_table("dataset")
    op.drop_table("api_key")
