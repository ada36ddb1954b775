"""The service's side of the wire contract for one dataset of reads, on the loopback server.

It answers with a fixed cut of one gzip object. The real service is tested end to end elsewhere.
"""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from slicery.ticket import expand, format_time

from .conftest import SECRET, Reply, Request, Server, json_reply, problem_reply

TOKEN = "k3y"
DATASET = {
    "id": "d_1",
    "name": "run7",
    "uri": "s3://bucket/run7.fastq.gz",
    "format": "fastq",
    "compression": "gzip",
    "state": "indexed",
    "generation": 1,
    "objects": 1,
    "size_bytes": 1234,
    "records": {"unit": "read", "count": 0},
    "summary": {},
    "error": None,
    "job": None,
}


FORMATS: list[dict[str, Any]] = [
    {
        "name": "fastq",
        "kind": "records",
        "unit": "read",
        "description": "Reads",
        "suffixes": [".fastq", ".fq"],
        "compressions": ["none", "gzip", "bgzf"],
        "options": {"properties": {"paired": {"type": "boolean", "default": None, "description": "mates"}}},
        "strategies": {
            "count": {
                "properties": {
                    "name": {"const": "count", "default": "count"},
                    "n": {"type": "integer", "description": "number of slices"},
                },
                "required": ["n"],
            },
            "windows": {
                "$defs": {"Unit": {"type": "string", "enum": ["base", "read"]}},
                "properties": {
                    "name": {"const": "windows"},
                    "window": {"type": "integer", "description": "bases"},
                    "share": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
                    "circular": {"type": "boolean", "default": False},
                    "unit": {"$ref": "#/$defs/Unit", "default": "base"},
                    "starts": {"type": "array", "items": {"type": "integer"}, "default": []},
                },
                "required": ["window"],
            },
        },
        "selections": {
            "region": {
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": "string"}},
                    {"type": "null"},
                ],
                "default": None,
                "description": "as bcftools",
            }
        },
    },
    {
        "name": "text",
        "kind": "records",
        "unit": "line",
        "description": "Lines",
        "suffixes": [".txt"],
        "compressions": ["none", "gzip", "bgzf"],
        "options": {"properties": {}},
        "strategies": {},
        "selections": {},
    },
]


def read_of(number: int) -> str:
    return f"@r{number}\nACGT\n+\nFFFF\n"


class Service:
    """A partition of `n_slices` slices of two reads each; pages hold `page_limit` tickets at most."""

    def __init__(
        self, server: Server, n_slices: int = 25, page_limit: int = 1000, first_page: int = 10
    ) -> None:
        self.server = server
        self.n_slices = n_slices
        self.page_limit = page_limit
        self.first_page = first_page
        self.lives_for = timedelta(hours=1)
        self.signature = SECRET
        members = [gzip.compress((read_of(2 * n) + read_of(2 * n + 1)).encode()) for n in range(n_slices)]
        self.offsets = [0]
        for member in members:
            self.offsets.append(self.offsets[-1] + len(member))
        server.put("/bucket/run7.fastq.gz", b"".join(members))
        self.dataset: dict[str, Any] = {**DATASET, "records": {"unit": "read", "count": 2 * n_slices}}
        server.routes |= {
            "/v1/datasets": self._guard(self._datasets),
            "/v1/datasets/d_1": self._guard(lambda _: json_reply(self.dataset)),
            "/v1/formats": self._guard(lambda _: json_reply({"formats": FORMATS})),
            "/v1/datasets/d_1/partitions": self._guard(self._create),
            "/v1/partitions/p_1": self._guard(lambda _: json_reply(self.summary)),
            "/v1/partitions/p_1/slices": self._guard(self._page),
        }
        for index in range(n_slices):
            server.routes[f"/v1/partitions/p_1/slices/{index}"] = self._guard(self._one)

    @property
    def summary(self) -> dict[str, Any]:
        return {
            "id": "p_1",
            "dataset": "d_1",
            "generation": 1,
            "strategy": {"name": "count", "n": self.n_slices},
            "selection": None,
            "count": self.n_slices,
            "records": {"unit": "read", "count": 2 * self.n_slices},
            "size_bytes": self.offsets[-1],
            "format": "fastq",
            "compression": "gzip",
        }

    @property
    def shared(self) -> dict[str, Any]:
        head = {key: self.summary[key] for key in ("count", "dataset", "generation", "format", "compression")}
        expires_at = format_time(datetime.now(UTC) + self.lives_for)
        url = f"{self.server.url}/bucket/run7.fastq.gz?X-Amz-Signature="
        return {
            "head": {**head, "partition": "p_1", "unit": "read", "expires_at": expires_at},
            "sources": [{"url": url, "headers": {"If-Match": '"v1"'}}],
        }

    def compact(self, index: int) -> dict[str, Any]:
        start, stop = self.offsets[index], self.offsets[index + 1]
        name = f"run7.slice{index}.fastq.gz"
        parts = [[0, start, stop - start, self.signature]]
        return {
            "index": index,
            "records": [2 * index, 2],
            "files": [{"name": name, "media_type": "application/gzip", "parts": parts}],
            "decode": [{"op": "gunzip"}, {"op": "records", "format": "fastq"}],
        }

    def lines(self, *, broken: bool = False) -> bytes:
        slices = [{"slice": self.compact(index)} for index in range(self.n_slices)]
        end = (
            []
            if broken
            else [{"end": {"count": self.n_slices, "expires_at": self.shared["head"]["expires_at"]}}]
        )
        lines = [{"partition": self.summary, **self.shared}, *slices, *end]
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    def _guard(self, answer: Any) -> Any:
        def guarded(request: Request) -> Reply:
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                return problem_reply(401, "unauthenticated", "no key")
            return answer(request)

        return guarded

    def _datasets(self, request: Request) -> Reply:
        if request.method == "POST":
            return json_reply(self.dataset, 201)
        page = int(request.query.get("cursor", 0))
        bodies = [
            {**self.dataset, "id": f"d_{2 * page + n + 1}", "name": f"run{2 * page + n + 7}"} for n in (0, 1)
        ]
        return json_reply({"datasets": bodies, "next": str(page + 1) if page < 2 else None})

    def _create(self, request: Request) -> Reply:
        count = min(self.first_page, self.n_slices)
        slices = [self.compact(index) for index in range(count)]
        body = {**self.summary, "strategy": request.body["strategy"], **self.shared, "slices": slices}
        return json_reply({**body, "next": count if count < self.n_slices else None}, 201)

    def _page(self, request: Request) -> Reply:
        if request.headers["accept"] == "application/x-ndjson":
            return Reply(200, self.lines(), {"Content-Type": "application/x-ndjson"}, chunked=True)
        start = int(request.query["from"])
        stop = min(start + self.page_limit, self.n_slices)
        slices = [self.compact(index) for index in range(start, stop)]
        more = stop if stop < self.n_slices else None
        return json_reply({"partition": "p_1", **self.shared, "slices": slices, "next": more})

    def _one(self, request: Request) -> Reply:
        shared = self.shared
        compact = self.compact(int(request.path.rpartition("/")[2]))
        return json_reply(expand(compact, shared["sources"], shared["head"]).to_json())
