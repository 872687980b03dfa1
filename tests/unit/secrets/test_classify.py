"""What a file is, by its content and its place; with keys as the programs themselves make them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from drkit.secrets.classify import what_is
from tests import needs
from tests.unit.checks.authority import issue

ROOT = issue("a root", authority=True)
LEAF = issue("registry", ROOT)


@pytest.mark.parametrize(
    ("path", "data", "what"),
    [
        ("/data/secret/keys/secretkey", b"naa4JtarA1Zsc3uY", "secret key"),
        ("/data/secret/core/private_key.pem", LEAF.key_pem, "token key"),
        ("/data/secret/registry/root.crt", LEAF.pem, "token certificate"),
        ("/opt/harbor/harbor.yml", b"hostname: h\n", "harbor.yml"),
        ("/a.crt", LEAF.pem, "certificate"),
        ("/a.crt", LEAF.pem + ROOT.pem, "certificate"),
        ("/ca.crt", ROOT.pem, "CA certificate"),
        ("/ca.crt", ROOT.der, "CA certificate"),
        ("/all.crt", ROOT.pem + issue("another", authority=True).pem, "trusted CA certificates"),
        ("/a.key", LEAF.key_pem, "private key"),
        ("/a.key", LEAF.sealed_key, "private key, encrypted"),
        ("/both.pem", LEAF.key_pem + LEAF.pem, "certificate and private key"),
        ("/a.pem", b"-----BEGIN PUBLIC KEY-----\n", "public key"),
        ("/g.asc", b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n", "GPG private key"),
        ("/root/.gnupg/private-keys-v1.d/" + "0F" * 20 + ".key", b"Created: 2026\n", "GPG private key"),
        ("/root/.gnupg/pubring.kbx", b"\x00\x00", "GPG keyring"),
        ("/wg0.conf", b"[Interface]\nAddress = 10.0.0.1/24\nPrivateKey = x\n", "WireGuard configuration"),
        ("/gcs.json", b'{\n "type": "service_account"}', "Google service account key"),
        ("/etc/nginx/conf.d/harbor.conf", b"server { }", "nginx configuration"),
        ("/notation/signingkeys.json", b"{}", "Notation key list"),
        ("/store.p12", b"\x30\x82", "PKCS#12 key store"),
        ("/store.jks", b"\xfe\xed\xfe\xed\x00", "Java key store"),
        ("/cosign.password", b"word", "file"),
        ("/empty", b"", "file"),
        ("/binary", bytes(range(256)), "file"),
    ],
)
def test_what_it_is(path: str, data: bytes, what: str) -> None:
    assert what_is(path, data) == what


def test_the_password_that_the_configuration_names() -> None:
    assert what_is("/x/word", b"word", cosign_password="/x/word") == "cosign password"
    assert what_is("/y/word", b"word", cosign_password="/x/word") == "file"


def test_keys_of_programs(tmp_path: Path) -> None:
    needs.program("ssh-keygen")
    for name, passphrase in (("plain", ""), ("sealed", "a passphrase")):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(tmp_path / name)]
        subprocess.run(command, check=True)
    subprocess.run([needs.program("age-keygen"), "-o", tmp_path / "age"], check=True, capture_output=True)
    needs.program("cosign")
    subprocess.run(
        ["cosign", "generate-key-pair"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "COSIGN_PASSWORD": "word"},
        check=True,
        capture_output=True,
    )
    found = {path.name: what_is(str(path), path.read_bytes()) for path in tmp_path.iterdir()}
    assert found == {
        "plain": "SSH private key",
        "plain.pub": "SSH public key",
        "sealed": "SSH private key, encrypted",
        "sealed.pub": "SSH public key",
        "age": "age identity",
        "cosign.key": "cosign private key, encrypted",
        "cosign.pub": "public key",
    }
