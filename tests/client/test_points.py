"""Point clouds as laspy.LasData: steps are taken, files joined, and files written that laspy reads."""

from __future__ import annotations

import importlib
import io
import struct
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path

import laspy
import lazrs
import numpy as np
import pytest
from formats import laz_samples

from slicery import registry
from slicery.decoders import points_chunks
from slicery.decoders.points import copc, las, laz
from slicery.errors import DecodeError, MissingExtra
from slicery.loading import FileContent, FileDecoder
from slicery.ticket import Clip, Records, Step


def cloud(n_points: int, *, scale: float = 0.01, point_format: int = 6) -> laspy.LasData:
    """Return points whose X counts up from 0, with extra bytes and records before and behind them."""
    header = laspy.LasHeader(point_format=point_format, version="1.4")
    header.scales, header.offsets = [scale] * 3, [10.0, 20.0, 0.0]
    header.add_extra_dim(laspy.ExtraBytesParams("mark", "u4"))
    made = laspy.LasData(header)
    made.points = laspy.ScaleAwarePointRecord.zeros(n_points, header=header)
    made.points.array["X"] = np.arange(n_points)
    made.points.array["Y"] = np.arange(n_points) % 7
    made.points.array["Z"] = -np.arange(n_points)
    made.points.array["mark"] = np.arange(n_points) ** 2
    made.return_number[:] = 1
    made.vlrs.append(laspy.VLR("slicery", 1, "", b"before"))
    made.evlrs = laspy.vlrs.vlrlist.VLRList([laspy.VLR("slicery", 2, "", b"behind")])
    made.update_header()
    return made


def content(
    made: laspy.LasData, *steps: Step, compressed: bool = True, name: str = "a.slice0.laz"
) -> FileContent:
    buffer = io.BytesIO()
    made.write(buffer, do_compress=compressed)
    return FileContent(name, buffer.getvalue(), steps or (Records("laz"),))


def test_the_decoders_are_file_decoders() -> None:
    for name, decoder in (("las", las), ("laz", laz), ("copc", copc)):
        assert registry.decoder(name) is decoder
        assert isinstance(decoder, FileDecoder)
        assert decoder.unit == "point"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_whole_file_is_what_laspy_reads(compressed: bool) -> None:
    made = cloud(100)
    value, n_records = laz.load([content(made, compressed=compressed)])
    assert n_records == 100
    assert np.array_equal(value.points.array, made.points.array)
    assert laz.records(value).dtype.names == made.points.array.dtype.names
    assert laz.records(value)["mark"].tolist() == [n**2 for n in range(100)]


def test_items_are_the_raw_records() -> None:
    made = cloud(20)
    value, _ = laz.load([content(made)])
    items = list(laz.items(value))
    assert len(items) == 20
    assert {len(each) for each in items} == {34}
    assert b"".join(items) == made.points.array.tobytes()


def test_records_trims_before_clip_keeps() -> None:
    step = Clip((10, 0), (20, 5), (False, True))
    value, n_records = laz.load([content(cloud(100), Records("laz", 12, 50), step)])
    assert n_records == 50
    wanted = [n for n in range(12, 20) if n % 7 <= 5]
    assert laz.records(value)["X"].tolist() == wanted
    assert value.header.point_count == len(wanted)
    assert value.header.number_of_points_by_return[0] == len(wanted)
    assert value.header.maxs[0] == max(value.x)


def test_clip_takes_open_and_closed_edges_and_three_axes() -> None:
    made = cloud(100)
    for closed, last in ((False, 19), (True, 20)):
        step = Clip((10, 0, -20), (1 << 31, 7, -10), (False, False, closed))
        value, n_records = laz.load([content(made, Records("laz"), step)])
        assert n_records == 100
        assert laz.records(value)["X"].tolist() == list(range(11 - closed, 21))
        assert last in laz.records(value)["X"]
    nothing, _ = laz.load([content(made, Records("laz"), Clip((-5, -5), (0, 0), (False, False)))])
    assert len(nothing.points) == nothing.header.point_count == 0


def test_files_of_one_kind_are_joined() -> None:
    parts = [
        content(cloud(30), Records("laz", 5)),
        content(cloud(10), Records("laz", 0, 4), name="b.slice0.laz"),
    ]
    value, n_records = laz.load(parts)
    assert n_records == 29
    assert laz.records(value)["X"].tolist() == [*range(5, 30), *range(4)]
    assert value.header.point_count == 29


def decimals(value: laspy.LasData) -> list[tuple[Fraction, ...]]:
    """Return the coordinates as exact numbers: stored integers times and plus the decimals of the header."""
    header = value.header
    exact = [
        (Fraction(repr(float(s))), Fraction(repr(float(o))))
        for s, o in zip(header.scales, header.offsets, strict=True)
    ]
    columns = [value.points.array[name].tolist() for name in "XYZ"]
    return [
        tuple(c * s + o for c, (s, o) in zip(row, exact, strict=True)) for row in zip(*columns, strict=True)
    ]


@pytest.mark.parametrize(
    ("scale", "offsets"),
    [
        (0.01, (7.5, 20.0, 1e6)),
        (0.1, (10.0, 20.0, 0.0)),
        (0.001, (9.9997, -20.0, 0.0)),
        (0.25, (0.125, 0.0, 0.0)),
        (0.003, (10.0, 20.00001, 0.0)),
    ],
)
@pytest.mark.parametrize("turn", [1, -1])
def test_files_of_other_scales_are_joined_and_no_coordinate_changes(
    scale: float, offsets: tuple[float, float, float], turn: int
) -> None:
    other = cloud(50, scale=scale)
    other.points.offsets = other.header.offsets = np.array(offsets)
    other.update_header()
    clouds = [cloud(30), other][::turn]
    value, n_records = laz.load([content(each) for each in clouds])
    assert n_records == 80
    wanted = [row for each in clouds for row in decimals(each)]
    assert decimals(value) == wanted
    for axis, name in enumerate("xyz"):
        separate = np.concatenate([np.asarray(each[name]) for each in clouds])
        assert np.abs(np.asarray(value[name]) - separate).max() <= 4 * np.spacing(np.abs(separate).max())
        assert value.header.mins[axis] == np.asarray(value[name]).min()
    assert value.points.array["mark"].tolist() == [n for each in clouds for n in each.points.array["mark"]]


@pytest.mark.parametrize(
    ("other", "word"),
    [(cloud(5, scale=0.01 + 1e-12), "steps of 1e-12"), (cloud(5, point_format=7), "point format")],
)
def test_files_that_would_be_altered_are_not_joined(other: laspy.LasData, word: str) -> None:
    with pytest.raises(DecodeError, match=rf"{word}.*give to_file\(\) a folder"):
        laz.load([content(cloud(5)), content(other, name="b.slice0.laz")])


def chunked(n_points: int, chunk: int, step: Step) -> FileContent:
    made = cloud(n_points)
    return FileContent("a.laz", laz_samples.laz(made, chunk), (Records("laz"), step))


def test_chunks_that_slices_share_are_decompressed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    decompress = lazrs.decompress_points_with_chunk_table
    monkeypatch.setattr(points_chunks, "_kept", points_chunks._Kept())
    monkeypatch.setattr(
        lazrs,
        "decompress_points_with_chunk_table",
        lambda *args: (calls.append(len(args[3])), decompress(*args)),
    )
    for low in range(0, 1000, 50):
        value, _ = laz.load([chunked(1000, 100, Clip((low, 0), (low + 50, 7), (False, False)))])
        assert value.points.array["X"].tolist() == list(range(low, low + 50))
    assert sum(calls) == 10


def test_no_more_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points_chunks, "MOST_KEPT_BYTES", 5 * 100 * 34)
    monkeypatch.setattr(points_chunks, "_kept", kept := points_chunks._Kept())
    for low in (10, 300, 650, 10):
        value, _ = laz.load([chunked(1000, 100, Clip((low, 0), (low + 120, 7), (False, False)))])
        assert value.points.array["X"].tolist() == list(range(low, low + 120))
        assert sum(rows.nbytes for rows in kept._rows.values()) == kept._n_bytes == 5 * 100 * 34


@pytest.mark.parametrize("chunk", [1000, 300])
@pytest.mark.parametrize(
    "steps", [(Records("laz", 411, 333),), (Records("laz", 5), Clip((90, 0), (777, 6), (False, True)))]
)
def test_chunks_too_large_to_be_held_are_read_in_parts(
    chunk: int, steps: tuple[Step, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cloud(1000)
    file = FileContent("a.laz", laz_samples.laz(made, chunk), steps)
    wanted = laz.load([FileContent("a.las", content(made, compressed=False).data, steps)])
    monkeypatch.setattr(points_chunks, "MOST_ALONE_BYTES", 1000)
    monkeypatch.setattr(points_chunks, "BATCH_BYTES", 700)
    found = laz.load([file])
    assert found.n_records == wanted.n_records
    assert np.array_equal(found.value.points.array, wanted.value.points.array)


def test_a_clipped_slice_is_never_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a million points 1 in 100 is kept: not even the 34 MB that are decompressed are held at once."""
    monkeypatch.setattr(points_chunks, "MOST_KEPT_BYTES", 4 << 20)
    monkeypatch.setattr(points_chunks, "BATCH_BYTES", 2 << 20)
    data = laz_samples.laz(cloud(1_000_000), 5000)
    file = FileContent("a.laz", data, (Records("laz"), Clip((0, 0), (10_000, 7), (False, False))))
    tracemalloc.start()
    value, n_records = laz.load([file])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(value.points), n_records) == (10_000, 1_000_000)
    assert peak < 12 << 20


@pytest.mark.parametrize(
    ("at", "message"), [(-8, "cannot be decompressed"), (None, "found chunks of|cannot be decompressed")]
)
def test_a_damaged_chunk_table_is_refused(at: int | None, message: str) -> None:
    data = bytearray(laz_samples.laz(cloud(300), 100))
    (offset,) = struct.unpack_from("<I", data, 96)
    (table,) = struct.unpack_from("<q", data, offset)
    if at is None:
        struct.pack_into("<I", data, table + 4, 2)
    else:
        data[table + 8 :] = bytes(len(data) - table - 8)
    with pytest.raises(DecodeError, match=message):
        laz.load([FileContent("a.laz", bytes(data), (Records("laz"),))])


@pytest.mark.parametrize("suffix", [".las", ".laz", ".LAZ", ""])
@pytest.mark.parametrize("decoder", [las, laz], ids=["las", "laz"])
def test_what_is_written_is_read_by_laspy(decoder: FileDecoder, suffix: str, tmp_path: Path) -> None:
    made = cloud(60)
    value, _ = decoder.load([content(made, Records("laz", 10, 30))])
    (path,) = decoder.write(value, tmp_path / f"part{suffix}")
    read = laspy.read(path)
    assert np.array_equal(read.points.array, made.points.array[10:40])
    assert read.header.are_points_compressed is (
        suffix.lower() == ".laz" or (suffix == "" and decoder is laz)
    )
    assert [each.record_data for each in read.evlrs] == [b"behind"]
    assert b"before" in [each.record_data for each in read.vlrs if each.user_id == "slicery"]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("point_format", [9, 10])
def test_wave_packets_are_not_altered(
    point_format: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = cloud(50, point_format=point_format)
    made.points.array["wavepacket_size"] = np.arange(50) * 77_777
    value, _ = laz.load([content(made, compressed=False)])
    (path,) = laz.write(value, tmp_path / "part.laz")
    assert np.array_equal(laspy.read(path).points.array, made.points.array)
    only = (laspy.LazBackend.Lazrs,)
    monkeypatch.setattr(laspy.LazBackend, "detect_available", classmethod(lambda _: only))
    with pytest.raises(DecodeError, match="install laszip"):
        laz.write(value, tmp_path / "other.laz")


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:300], lambda data: b"LASG" + data[4:]]
)
def test_what_is_no_cloud_is_refused(damage: object) -> None:
    whole = content(cloud(10))
    broken = FileContent(whole.name, damage(whole.data), whole.steps)  # type: ignore[operator]
    with pytest.raises(DecodeError, match=r"a\.slice0\.laz"):
        laz.load([broken])


def test_fewer_points_than_the_step_takes_are_refused() -> None:
    with pytest.raises(DecodeError, match="at least 20 points, found 10"):
        laz.load([content(cloud(10), Records("laz", 5, 15))])


def test_without_laspy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "laspy", None)
    monkeypatch.delitem(sys.modules, "slicery.decoders.points", raising=False)
    registry.decoder.cache_clear()
    try:
        for name in ("las", "laz", "copc"):
            with pytest.raises(MissingExtra, match=r"laspy.*slicery\[pointcloud\]"):
                registry.decoder(name)
    finally:
        registry.decoder.cache_clear()
        monkeypatch.undo()
        importlib.import_module("slicery.decoders.points")


def test_without_a_backend_laz_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    compressed, plain = content(cloud(10)), content(cloud(10), compressed=False)
    monkeypatch.setattr(laspy.LazBackend, "detect_available", classmethod(lambda _: ()))
    with pytest.raises(MissingExtra, match=r"slicery\[pointcloud\]"):
        laz.load([compressed])
    assert len(laz.load([plain]).value.points) == 10
