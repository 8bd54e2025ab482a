"""A Hugging Face hub on this machine: as much of its protocol as fetching a model takes."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

__all__ = ["COMMIT", "Hub"]

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves folders as repositories: their files' sizes and hashes, and the files, whole or from a byte on.

    As a context manager it runs on a free port of 127.0.0.1.
    """

    def __init__(self, repositories: dict[str, Path]) -> None:
        self.repositories = repositories
        self.asked: list[tuple[str, str, str]] = []
        """(method, path, Range) of every request."""
        self.drop: dict[str, int] = {}
        """Name of a file to the bytes of it that are sent before the connection is dropped; then it fails."""
        self.broken: set[str] = set()
        """Files whose bytes are served wrong."""
        self.status: dict[str, int] = {}
        """Name of a file to the error that is answered in its place."""
        self.gated = False
        """Whether everything is kept from those who have not accepted its terms."""

    def __enter__(self) -> Hub:
        hub = self

        class Handler(_Handler):
            served = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def take_over(self, patch: pytest.MonkeyPatch, home: Path) -> None:
        """Have the hub's client in this process ask here, in small pieces, and keep its notes in ``home``."""
        from huggingface_hub import constants

        patch.setattr(constants, "ENDPOINT", self.address)
        patch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            self.address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 256)
        for name in ("HF_HOME", "HF_TOKEN_PATH", "AGENT_HARNESSES_PATH"):
            if hasattr(constants, name):
                patch.setattr(constants, name, str(home / name))

    def fetched(self, ending: str = "") -> list[tuple[str, str]]:
        """(file, Range) of the files that were fetched."""
        paths = [(path, begin) for method, path, begin in self.asked if method == "GET"]
        return [(p.split(COMMIT + "/")[1], b) for p, b in paths if COMMIT in p and p.endswith(ending)]

    def files(self, repository: str) -> list[dict[str, Any]]:
        """What the hub tells of a repository's files: large ones are in LFS."""
        root = self.repositories[repository]
        found = []
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            data = path.read_bytes()
            entry: dict[str, Any] = {"rfilename": path.relative_to(root).as_posix(), "size": len(data)}
            entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            if path.suffix in (".safetensors", ".bin"):
                digest = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 130}
            found.append(entry)
        return found


class _Handler(BaseHTTPRequestHandler):
    served: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *told: object) -> None:
        del told

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.served
        path = self.path.split("?")[0]
        hub.asked.append((self.command, path, self.headers.get("Range", "")))
        if hub.gated:
            self._send(403, b"", {"X-Error-Code": "GatedRepo"})
            return
        asked = re.fullmatch(r"/api/models/(.+?)(?:/revision/.+)?", path)
        if asked and asked[1] in hub.repositories:
            told = {"id": asked[1], "sha": COMMIT, "siblings": hub.files(asked[1])}
            self._send(200, json.dumps(told).encode(), {"Content-Type": "application/json"})
            return
        file = re.fullmatch(r"/(.+?)/resolve/([^/]+)/(.+)", path)
        root = hub.repositories.get(file[1]) if file else None
        if file is None or root is None or not (root / file[3]).is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound" if root else "RepoNotFound"})
            return
        if file[3] in hub.status:
            self._send(hub.status[file[3]], b"", {})
            return
        self._file(file[3], (root / file[3]).read_bytes())

    def _file(self, name: str, data: bytes) -> None:
        hub = self.served
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if name in hub.broken:
            data = bytes(byte ^ 1 for byte in data)
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        status, total = 200, len(data)
        if begin:
            status, data = 206, data[int(begin[1]) :]
            headers["Content-Range"] = f"bytes {begin[1]}-{total - 1}/{total}"
        if name in hub.drop and self.command == "GET":
            cut = data[: hub.drop.pop(name)]
            hub.status[name] = 503  # it stays away until it is told to come back
            self._send(status, cut, headers, len(data))
            self.close_connection = True
            return
        self._send(status, data, headers)

    def _send(self, status: int, data: bytes, headers: dict[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
