"""The schema: the migrations make what the models say."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from slicery_service import db
from slicery_service.models import Base, Dataset, Generation, Job

from . import rows


def test_the_migrated_schema_is_the_one_of_the_models():
    with db.engine().connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []


def test_the_check_constraints_of_the_models_are_in_the_schema():
    """Alembic does not compare these."""
    wanted = {
        str(constraint.name)
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if str(constraint.name).startswith("ck_")
    }
    query = text("SELECT conname FROM pg_constraint WHERE contype = 'c'")
    with db.engine().connect() as connection:
        assert wanted <= set(connection.scalars(query))


@pytest.mark.parametrize("model", [Dataset, Generation, Job])
def test_an_unknown_state_is_refused(session: Session, model: type[Base]):
    rows.add_dataset(session)
    with pytest.raises(IntegrityError, match="state_known"):
        session.execute(text(f"UPDATE {model.__tablename__} SET state = 'lost'"))


def test_what_stands_below_a_dataset_goes_with_it(session: Session):
    dataset = rows.add_indexed(session)
    session.execute(text("DELETE FROM dataset"))
    assert rows.left_over(session, dataset.id) == {
        "objects": [],
        "segments": [],
        "drafts": [],
        "generations": [],
    }
    assert session.scalar(text("SELECT count(*) FROM job")) == 0
