"""A database elsewhere that lets nobody in without TLS and a certificate: sessions and pg_dump alike obey."""

from __future__ import annotations

import datetime
import os
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drkit.errors import DatabaseUnreachable
from drkit.tools.postgres import sessions, targets
from testenv import processes
from tests.cluster import private_cluster
from tests.e2e.commands import Drkit, assert_error, fails
from tests.e2e.conftest import Drilled
from tests.e2e.test_bad_input import only

NAME = "db.example.com"
USER = "keeper"


@dataclass(frozen=True)
class Pair:
    """A key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def write(self, directory: Path, name: str) -> None:
        pem = serialization.Encoding.PEM
        (directory / f"{name}.crt").write_bytes(self.certificate.public_bytes(pem))
        key = directory / f"{name}.key"
        key.touch(mode=0o600)
        form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        key.write_bytes(self.key.private_bytes(pem, form, none))


def issue(common_name: str, ca: Pair | None = None) -> Pair:
    """A certificate by that authority, or one of one's own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(ca.certificate.subject if ca else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca is None, path_length=None), critical=True)
    )
    if ca:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False
        )
    return Pair(key, builder.sign(ca.key if ca else key, hashes.SHA256()))


@dataclass(frozen=True)
class Elsewhere:
    """A server's port, and the directory with the client's certificate and both authorities'."""

    port: int
    files: Path

    def dsn(self, ca: str = "ca", host: str = NAME, who: str = USER) -> str:
        certificates = f"sslcert={self.files}/{who}.crt sslkey={self.files}/{who}.key"
        verified = f"sslmode=verify-full sslrootcert={self.files}/{ca}.crt {certificates}"
        return f"host={host} hostaddr=127.0.0.1 port={self.port} user={USER} dbname=postgres {verified}"


@pytest.fixture(scope="module")
def elsewhere(place: Path) -> Iterator[Elsewhere]:
    ca, other = issue("the right CA"), issue("another CA")
    files = place / "tls"
    files.mkdir(mode=0o700)
    ca.write(files, "ca")
    other.write(files, "other")
    issue(USER, ca).write(files, USER)
    issue(USER, other).write(files, "stranger")
    (files / "nobody.crt").write_bytes((files / "keeper.crt").read_bytes())

    def prepare(data: Path) -> None:
        issue(NAME, ca).write(data, "server")
        shutil.copy(files / "ca.crt", data)
        if os.geteuid() == 0:
            for path in data.glob("*.[ck]*"):
                shutil.chown(path, "postgres", "postgres")
        (data / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 cert\n")

    port = next(processes.free_ports())
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "ssl": "on",
        "ssl_cert_file": "server.crt",
        "ssl_key_file": "server.key",
        "ssl_ca_file": "ca.crt",
    }
    with private_cluster(settings=settings, prepare=prepare) as cluster:
        with sessions.connect(cluster.target) as session:
            session.execute("CREATE ROLE keeper LOGIN SUPERUSER")
            session.execute("CREATE TABLE public.note AS SELECT 'far away'::text AS words")
        yield Elsewhere(port, files)


@pytest.fixture
def remote(copy: Drkit, elsewhere: Elsewhere) -> Drkit:
    """A drkit that protects the database elsewhere and nothing else."""
    before = tomllib.loads(copy.config.read_text())
    copy.change(only("database"))
    copy.change(lambda d: d.update(database=[{"name": "registry", "dsn": elsewhere.dsn()}]))
    # Its points have the other sources too, from before: confirmed, so that they are no problem.
    gone = [f"secrets:{path}" for path in before["secrets"]["paths"]]
    copy.change(lambda d: d["site"].update(dropped=["blobs", *gone]))
    return copy


def test_with_the_right_certificates(remote: Drkit) -> None:
    """The server knows no other way in, so that pg_dump and pg_dumpall showed theirs as well."""
    assert remote.run("doctor").code == 0
    point = remote.ask("backup")
    assert point["status"] == "sealed"
    assert {part["kind"] for part in point["parts"]} == {"database", "roles", "configuration"}
    (database,) = remote.ask("show", point["id"])["databases"]
    assert [(table["table"], table["rows"]) for table in database["tables"]] == [("note", 1)]


def test_with_another_ca(remote: Drkit, drilled: Drilled, elsewhere: Elsewhere) -> None:
    remote.change(lambda d: d["database"][0].update(dsn=elsewhere.dsn("other")))
    sentence = f"cannot connect to postgres at {NAME}:{elsewhere.port}: SSL error: certificate verify failed"
    hint = "see sslmode, sslrootcert .*"
    doctor = remote.run("doctor", "--json")
    assert_error(doctor, "database_unreachable", f"1 problem; the first: {sentence}", hint)
    message = f"no recovery point was sealed: database registry: {sentence}"
    ended = fails(remote, ["backup"], 3, "backup_incomplete", message, hint)
    assert [part["kind"] for part in ended.envelope["result"]["parts"]] == ["configuration"]
    assert remote.sealed() == [drilled.point]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"host": "db.example.org"}, 'certificate for "db.example.com" does not match host name'),
        ({"who": "stranger"}, "SSL error|certificate"),
        ({"who": "nobody"}, "certificate present, but not private key file|could not open certificate file"),
        ({"ca": "none"}, 'root certificate file ".*/none.crt" does not exist'),
    ],
)
def test_what_else_is_refused(elsewhere: Elsewhere, what: dict[str, str], said: str) -> None:
    where = targets.target(elsewhere.dsn(**what), None)
    with pytest.raises(DatabaseUnreachable, match=said) as caught, sessions.connect(where):
        pass
    assert caught.value.hint.startswith("see sslmode, sslrootcert")
