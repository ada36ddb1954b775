"""CSV from objects in S3 to data frames in a job, judged by pandas."""

from __future__ import annotations

import io
from collections.abc import Callable

import pandas as pd
import pytest
import samples
from csv_samples import table, written

from slicery import Client, IndexingFailed

pytestmark = pytest.mark.stack

Put = Callable[[dict[str, bytes]], str]


@pytest.mark.parametrize("compression", ["none", "gzip-members", "bgzf"])
def test_slices_are_data_frames_of_one_schema(client: Client, put: Put, compression: str) -> None:
    content = written(table(3000), delimiter=";")
    uri = put({"table.csv": samples.COMPRESSIONS[compression](content)}) + "table.csv"
    dataset = client.register(uri).wait(60)
    wanted = pd.read_csv(io.BytesIO(content), sep=";", keep_default_na=False, na_values={"score": [""]})
    wanted["at"] = pd.to_datetime(wanted["at"])
    assert (dataset.format, dataset.unit, dataset.n_records) == ("csv", "row", 3000)
    summary = dataset.summary
    assert summary["dialect"]["delimiter"] == ";"
    kinds = {column["name"]: column["type"] for column in summary["columns"]}
    assert kinds == {
        "id": "int64", "text": "string", "score": "double", "day": "date", "at": "timestamp", "ok": "bool",
        "note": "string",
    }  # fmt: skip
    assert summary["columns"][0] == {"name": "id", "type": "int64", "nulls": 0, "min": -1500, "max": 1499}
    for n in (1, 7, 64):
        frames = [each.to_pandas() for each in dataset.partition("count", n=n)]
        assert all(list(frame.dtypes) == list(frames[0].dtypes) for frame in frames)
        found = pd.concat(frames, ignore_index=True)
        found["day"] = found["day"].map(str)
        texts = ["text", "note"]
        found[texts] = found[texts].fillna("")
        pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
    records = [record for each in dataset.partition("records", per_slice=701) for record in each.records()]
    tables = [each.to_arrow() for each in dataset.partition("records", per_slice=701)]
    assert [record for each in tables for record in each.to_pylist()] == records


def test_objects_with_one_header_are_one_table(client: Client, put: Put) -> None:
    uri = put({f"part{n}.csv": written([["a", "b"], [n, "x"], [n + 0.5, ""]]) for n in range(5)})
    dataset = client.register(uri + "*.csv").wait(60)
    for n in (1, 3, 12):
        partition = dataset.partition("count", n=n)
        found = pd.concat([each.to_pandas() for each in partition], ignore_index=True)
        assert found["a"].tolist() == [n / 2 for n in range(10)]
    assert dataset.partition("count", n=1)[0].bytes().count(b"a,b\n") == 1


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (
            {"a.csv": b'a,b\n1,"x\n2,y\n'},
            r"row 1 at byte 4 .* the quote that opens at byte 6 is never closed",
        ),
        ({"a.csv": b"a,b\n1,x\n2\n"}, r"row 2 at byte 8 of the text has 1 fields: expected 2"),
        (
            {"a.csv": b"a,b\n1,x\n", "b.csv": b"a,c\n1,x\n"},
            r"b\.csv.*column 2 is named 'c', and 'b' in the objects before it",
        ),
    ],
)
def test_what_is_malformed_fails_the_job(
    client: Client, put: Put, contents: dict[str, bytes], message: str
) -> None:
    with pytest.raises(IndexingFailed, match=message):
        client.register(put(contents) + "*.csv").wait(60)
