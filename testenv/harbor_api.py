"""The part of Harbor's API that a backup asks for, over a site's own database.

Harbor itself cannot run here: this speaks three of its calls (systeminfo, configurations, system/gc) as
src/server/v2.0/handler does, with its login, its session cookie and its refusal of changes that bring the
cookie without a token.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

from testenv import site as sites

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testenv.site import Site

USER = "admin"


@dataclass
class Api:
    """A running server: where it is, and every request that it got, as method and path."""

    url: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    # So many of the next changes fail with 503.
    failures: int = 0


@contextlib.contextmanager
def serving(site: Site, *, tls: bool = False) -> Iterator[Api]:
    """Serve on a free port of 127.0.0.1; with `tls`, with the site's own certificate."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(site.tls / "server.crt", site.tls / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    api = Api(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}")
    _Handler.sites[server.server_address[1]] = (site, api)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write_password(site: Site, path: Path) -> Path:
    """The administrator's password in a private file; returns its path."""
    path.touch(mode=0o600)
    path.write_text(site.planted["administrator password"] + "\n")
    return path


def read_only(site: Site) -> bool:
    """Whether the site's Harbor is in read-only mode, as its database has it."""
    with sites.connect(site) as connection:
        row = connection.execute("SELECT v FROM properties WHERE k = 'read_only'").fetchone()
    return row is not None and row[0] == "true"


def set_read_only(site: Site, value: bool) -> None:
    """What PUT /configurations does."""
    with sites.connect(site) as connection:
        connection.execute(
            "INSERT INTO properties (k, v) VALUES ('read_only', %s)"
            " ON CONFLICT (k) DO UPDATE SET v = excluded.v",
            (json.dumps(value),),
        )


class _Handler(BaseHTTPRequestHandler):
    sites: ClassVar[dict[int, tuple[Site, Api]]] = {}

    def do_GET(self) -> None:
        site, api = self._place()
        api.requests.append(("GET", self.path))
        match self.path.partition("?")[0]:
            case "/api/v2.0/systeminfo":
                about: dict[str, Any] = {"auth_mode": "db_auth"}
                if self._known(site):
                    about |= {"harbor_version": "v2.14.0-0123abcd", "read_only": read_only(site)}
                self._answer(200, about)
            case "/api/v2.0/configurations" if self._allowed(site):
                self._answer(200, {"read_only": {"editable": True, "value": read_only(site)}})
            case "/api/v2.0/system/gc" if self._allowed(site):
                self._answer(200, _collections(site))
            case path if path not in ("/api/v2.0/configurations", "/api/v2.0/system/gc"):
                self._refuse(404, "NOT_FOUND")

    def do_PUT(self) -> None:
        site, api = self._place()
        api.requests.append(("PUT", self.path))
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        if self.path != "/api/v2.0/configurations":
            self._refuse(404, "NOT_FOUND")
        elif self._allowed(site):
            if "sid=" in self.headers.get("cookie", ""):
                self._refuse(403, "FORBIDDEN: CSRF token not found in request")
            elif api.failures:
                api.failures -= 1
                self._refuse(503, "UNAVAILABLE")
            else:
                set_read_only(site, body["read_only"])
                self._answer(200, None)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _place(self) -> tuple[Site, Api]:
        address: Any = self.server.server_address
        return self.sites[address[1]]

    def _known(self, site: Site) -> bool:
        login = f"{USER}:{site.planted['administrator password']}".encode()
        return self.headers.get("authorization") == f"Basic {base64.b64encode(login).decode()}"

    def _allowed(self, site: Site) -> bool:
        if not self._known(site):
            self._refuse(401, "UNAUTHORIZED")
        return self._known(site)

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, {"errors": [{"code": message.partition(":")[0], "message": message}]})

    def _answer(self, status: int, document: object) -> None:
        data = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.send_header("set-cookie", "sid=0123456789; Path=/; HttpOnly")
        self.end_headers()
        self.wfile.write(data)


def _collections(site: Site) -> list[dict[str, Any]]:
    with sites.connect(site) as connection:
        found = connection.execute(
            "SELECT id, status, trigger, coalesce(extra_attrs, '{}')::text, start_time, update_time"
            " FROM execution WHERE vendor_type = 'GARBAGE_COLLECTION' ORDER BY start_time DESC LIMIT 50"
        ).fetchall()
    return [
        {
            "id": number,
            "job_name": "GARBAGE_COLLECTION",
            "job_kind": trigger,
            "job_parameters": parameters,
            "job_status": status,
            "deleted": False,
            "creation_time": f"{started.isoformat()}Z",
            "update_time": f"{(updated or started).isoformat()}Z",
        }
        for number, status, trigger, parameters, started, updated in found
    ]
