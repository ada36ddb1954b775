"""An S3 server without a limit of its own: files of a folder, sent by the kernel, signatures not looked at.

For benchmarks alone, where the speed of a store must not hide that of the programs that read it.

    python bench/quick_store.py FOLDER PORT
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

FOLDER = Path()
LISTING = (
    '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<IsTruncated>false</IsTruncated></ListBucketResult>"
)


class Handler(BaseHTTPRequestHandler):
    """HEAD, GET with a range, PUT and DELETE of objects; any bucket exists."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._send(body=False)

    def do_GET(self) -> None:
        self._send(body=True)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("x-amz-content-sha256", "").startswith("STREAMING"):
            content = b"".join(re.split(rb"[0-9a-f]+(?:;[^\r]*)?\r\n", content))  # small objects alone
        path = self._path()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self._is_bucket():
            path.write_bytes(content)
        self._answer(200, 0, ETag='"0"')
        self.end_headers()

    def do_DELETE(self) -> None:
        self._path().unlink(missing_ok=True)
        self._answer(204, 0)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _path(self) -> Path:
        return FOLDER / unquote(urlsplit(self.path).path).lstrip("/")

    def _is_bucket(self) -> bool:
        return len(unquote(urlsplit(self.path).path).strip("/").split("/")) == 1

    def _send(self, *, body: bool) -> None:
        path = self._path()
        if self._is_bucket():
            self._answer(200, len(LISTING) if body else 0)
            self.end_headers()
            self.wfile.write(LISTING.encode() if body else b"")
        elif not path.is_file():
            self._answer(404, 0)
            self.end_headers()
        else:
            self._send_file(path, body=body)

    def _send_file(self, path: Path, *, body: bool) -> None:
        size = path.stat().st_size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        stop = min(size, int(wanted[2]) + 1) if wanted and wanted[2] else size
        tag = hashlib.md5(f"{path}{size}".encode(), usedforsecurity=False).hexdigest()
        self._answer(206 if wanted else 200, stop - start, ETag=f'"{tag}"')
        self.send_header("Last-Modified", "Sun, 22 Nov 2026 00:00:00 GMT")
        self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.end_headers()
        if not body:
            return
        with path.open("rb") as file, suppress(BrokenPipeError, ConnectionResetError):  # some want no more
            while start < stop:
                start += os.sendfile(self.connection.fileno(), file.fileno(), start, stop - start)

    def _answer(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
