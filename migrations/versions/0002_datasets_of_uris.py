"""A dataset is registered by one URI or by a list of them; a digest of the list takes the place of the unique URI."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dataset", sa.Column("uris", sa.ARRAY(sa.Text())))
    op.add_column("dataset", sa.Column("uris_digest", sa.LargeBinary()))
    op.execute("UPDATE dataset SET uris = ARRAY[uri], uris_digest = sha256(convert_to(uri, 'UTF8'))")
    op.alter_column("dataset", "uris", nullable=False)
    op.alter_column("dataset", "uris_digest", nullable=False)
    op.drop_constraint("uq_dataset_uri_format", "dataset", type_="unique")
    op.create_unique_constraint("uq_dataset_uris_digest_format", "dataset", ["uris_digest", "format"])
    op.drop_column("dataset", "uri")


def downgrade() -> None:
    op.add_column("dataset", sa.Column("uri", sa.Text()))
    op.execute("UPDATE dataset SET uri = uris[1]")
    op.alter_column("dataset", "uri", nullable=False)
    op.drop_constraint("uq_dataset_uris_digest_format", "dataset", type_="unique")
    op.create_unique_constraint("uq_dataset_uri_format", "dataset", ["uri", "format"])
    op.drop_column("dataset", "uris_digest")
    op.drop_column("dataset", "uris")
