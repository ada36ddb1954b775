"""Pictures: small images of a dataset, kept beside the index of its generation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "picture",
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id", "generation"],
            ["generation.dataset_id", "generation.number"],
            name="fk_picture_generation",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("dataset_id", "generation", "name", name="pk_picture"),
    )


def downgrade() -> None:
    op.drop_table("picture")
