"""Previews: the first rows and statistics of a sample, kept beside the index of a generation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "preview",
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id", "generation"],
            ["generation.dataset_id", "generation.number"],
            name="fk_preview_generation",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("dataset_id", "generation", name="pk_preview"),
    )


def downgrade() -> None:
    op.drop_table("preview")
