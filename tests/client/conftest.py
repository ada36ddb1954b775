"""A loopback HTTP server that can be told to fail, and tickets on the objects it holds."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from slicery import http, part, transport
from slicery.ticket import Gunzip, Part, Records, RecordSpan, Step, Ticket, TicketFile

SECRET = "5ecre7"


@dataclass
class Reply:
    """One answer. `cut` closes the connection after so many bytes of the body; `drop` answers nothing."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    drop: bool = False
    chunked: bool = False


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


Answer = Callable[[Request], Reply]


class Server:
    """Objects that honour Range and If-Match, routes that answer as a test says, and faults that come first."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.routes: dict[str, Answer] = {}
        self.faults: dict[str, list[Reply | Answer]] = {}
        self.requests: list[Request] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, path: str, data: bytes, etag: str = '"v1"') -> None:
        self.objects[path] = (data, etag)

    def seen(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    def signed(self, path: str, start: int, stop: int, etag: str = '"v1"', signature: str = SECRET) -> Part:
        headers = {"Range": f"bytes={start}-{stop - 1}", "If-Match": etag}
        return Part(f"{self.url}{path}?X-Amz-Signature={signature}", stop - start, headers)

    def answer(self, request: Request) -> Reply:
        self.requests.append(request)
        if self.faults.get(request.path):
            fault = self.faults[request.path].pop(0)
            return fault if isinstance(fault, Reply) else fault(request)
        if request.path in self.routes:
            return self.routes[request.path](request)
        if request.path in self.objects:
            return self._object(request)
        return Reply(404, b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>")

    def _object(self, request: Request) -> Reply:
        data, etag = self.objects[request.path]
        if request.headers.get("if-match", etag) != etag:
            return Reply(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        if not found:
            return Reply(200, data)
        start, last = int(found[1]), int(found[2])
        extent = f"bytes {start}-{last}/{len(data)}"
        return Reply(206, data[start : last + 1], {"Content-Range": extent})

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                split = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(split.query).items()}
                sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = json.loads(sent) if sent else None
                with suppress(ConnectionError):
                    self.reply(server.answer(Request(self.command, split.path, query, headers, body)))

            def do_POST(self) -> None:
                self.do_GET()

            def do_DELETE(self) -> None:
                self.do_GET()

            def reply(self, reply: Reply) -> None:
                if reply.drop:
                    self.hang_up()
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                elif "Content-Length" not in reply.headers:
                    self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                body = reply.body if reply.cut is None else reply.body[: reply.cut]
                if reply.chunked:
                    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body,) if piece)
                    body += b"" if reply.cut is not None else b"0\r\n\r\n"
                self.wfile.write(body)
                if reply.cut is not None:
                    self.wfile.flush()
                    self.hang_up()

            def hang_up(self) -> None:
                self.close_connection = True
                if self.command and self.connection:
                    with suppress(OSError):
                        self.connection.shutdown(socket.SHUT_WR)
                        linger = struct.pack("ii", 1, 0)
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

        return Handler


def json_reply(body: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def problem_reply(status: int, code: str, detail: str, **more: Any) -> Reply:
    problem = {"type": f"urn:slicery:problem:{code}", "title": code, "status": status, "code": code}
    body = json.dumps({**problem, "detail": detail, **more}).encode()
    return Reply(status, body, {"Content-Type": "application/problem+json"})


def make_ticket(
    parts: Sequence[Part] | Sequence[Sequence[Part]],
    *,
    count: int,
    steps: Sequence[Step] = (Gunzip(), Records("fastq")),
    lives_for: timedelta = timedelta(hours=1),
    partition: str = "p_1",
    index: int = 0,
) -> Ticket:
    """Make a ticket of one file from parts, or of several from lists of parts."""
    lists = [parts] if not parts or isinstance(parts[0], Part) else parts
    files = tuple(
        TicketFile(f"reads.slice{index}.{n}.fastq.gz", "application/gzip", tuple(items))
        for n, items in enumerate(lists)
    )
    return Ticket(
        partition=partition,
        index=index,
        count=3,
        dataset="d_1",
        generation=1,
        format="fastq",
        compression="gzip",
        records=RecordSpan("read", index * count, count),
        files=files,
        decode=tuple(steps),
        expires_at=datetime.now(UTC).replace(microsecond=0) + lives_for,
    )


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()
    for pool in http._pools.values():
        pool.clear()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the settings of whoever runs the tests out of them, and waits between tries short."""
    for name in ("URL", "TOKEN", "PROFILE"):
        monkeypatch.delenv(f"SLICERY_{name}", raising=False)
    monkeypatch.setenv("SLICERY_CONFIG", str(tmp_path_factory.mktemp("config") / "config.toml"))
    monkeypatch.setattr(part, "RETRY", http.Backoff(first_seconds=0.001))
    monkeypatch.setattr(transport, "RETRY", http.Backoff(first_seconds=0.001))
    monkeypatch.setattr(transport, "_transports", {})
