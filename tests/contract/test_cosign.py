"""Keys and signatures that the cosign program itself makes, offline, against drkit's reading of them."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from drkit.checks import signatures
from drkit.checks.finding import Control
from drkit.harbor.tables import StoredSignature
from drkit.model import CheckKind, Outcome
from drkit.registry import storage
from drkit.secrets import capture
from drkit.secrets.bundle import Member
from drkit.tools import cosign
from tests import needs, plain

PASSWORD = b"a password"
SUBJECT = "sha256:" + hashlib.sha256(b"an image").hexdigest()


@dataclass(frozen=True)
class Made:
    """What the program made: a key pair, a signed payload and an attestation of an image."""

    directory: Path
    private: bytes
    public: bytes
    payload: bytes
    signature: bytes
    attestation: bytes


def run(directory: Path, *words: str, password: bytes = PASSWORD) -> bytes:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "COSIGN_PASSWORD": password.decode()}
    done = subprocess.run(
        [needs.program("cosign"), *words], cwd=directory, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    directory = tmp_path_factory.mktemp("cosign")
    run(directory, "generate-key-pair")
    image = {
        "critical": {"image": {"docker-manifest-digest": SUBJECT}, "type": "cosign container image signature"}
    }
    (directory / "payload").write_text(json.dumps(image))
    (directory / "image").write_bytes(b"an image")
    (directory / "predicate").write_text("{}")
    offline = ("--yes", "--tlog-upload=false", "--key", "cosign.key")
    signature = run(directory, "sign-blob", *offline, "payload")
    bundle = ("--predicate", "predicate", "--type", "custom", "--new-bundle-format", "--bundle", "bundle")
    run(directory, "attest-blob", *offline, *bundle, "image")
    return Made(
        directory,
        (directory / "cosign.key").read_bytes(),
        (directory / "cosign.pub").read_bytes(),
        (directory / "payload").read_bytes(),
        base64.b64decode(signature),
        (directory / "bundle").read_bytes(),
    )


def test_the_password_opens_the_key_and_another_does_not(made: Made) -> None:
    assert cosign.public_half(cosign.open_private_key(made.private, PASSWORD)) == made.public
    with pytest.raises(cosign.WrongPassword):
        cosign.open_private_key(made.private, b"another")


def test_what_drkit_signs_the_program_verifies(made: Made, tmp_path: Path) -> None:
    signed = cosign.sign(cosign.open_private_key(made.private, PASSWORD), b"some bytes")
    found = cosign.Signature("sha256:", 10, signed)
    assert cosign.program_verifies(made.public, found, b"some bytes", tmp_path / "own")
    assert not cosign.program_verifies(made.public, found, b"other bytes", tmp_path / "own")
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700


def test_what_the_program_signs_drkit_verifies(made: Made) -> None:
    assert cosign.verifies(made.public, made.signature, made.payload)
    assert not cosign.verifies(made.public, made.signature, made.payload + b" ")
    stranger = cosign.public_half(cosign.new_private_key())
    assert not cosign.verifies(stranger, made.signature, made.payload)


def test_a_key_that_was_brought_along(tmp_path: Path) -> None:
    """Of another kind, imported. (cosign 2.5 itself refuses to import RSA and longer curves.)"""
    command = [needs.program("openssl"), "genpkey", "-algorithm", "ed25519", "-out", "own.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    run(tmp_path, "import-key-pair", "--key", "own.pem")
    private = cosign.open_private_key((tmp_path / "import-cosign.key").read_bytes(), PASSWORD)
    public = (tmp_path / "import-cosign.pub").read_bytes()
    assert signatures.pair_signs(private, public)
    (tmp_path / "payload").write_bytes(b"some bytes")
    signed = run(
        tmp_path, "sign-blob", "--yes", "--tlog-upload=false", "--key", "import-cosign.key", "payload"
    )
    assert cosign.verifies(public, base64.b64decode(signed), b"some bytes")


@pytest.mark.parametrize(
    "private",
    [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())],
    ids=["rsa", "p384"],
)
def test_keys_of_other_kinds(private: cosign.PrivateKey) -> None:
    assert signatures.pair_signs(private, cosign.public_half(private))
    assert not signatures.pair_signs(private, cosign.public_half(cosign.new_private_key()))
    if isinstance(private, ec.EllipticCurvePrivateKey):
        signed = private.sign(b"some bytes", ec.ECDSA(hashes.SHA384()))
        assert cosign.verifies(cosign.public_half(private), signed, b"some bytes")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n!!!\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----",
        b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\ne30=\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----",
    ],
)
def test_what_is_no_key(data: bytes) -> None:
    with pytest.raises(ValueError, match="it is not an encrypted cosign key"):
        cosign.open_private_key(data, PASSWORD)


def test_a_key_that_asks_for_all_the_memory(made: Made) -> None:
    body = base64.b64decode(b"".join(made.private.split(b"-----")[2].split()))
    document = json.loads(body)
    document["kdf"]["params"]["N"] = 1 << 30
    forged = base64.b64encode(json.dumps(document).encode())
    mark = b"ENCRYPTED SIGSTORE PRIVATE KEY-----"
    with pytest.raises(ValueError, match="it asks for more memory than any cosign key does"):
        cosign.open_private_key(b"-----BEGIN %s\n%s\n-----END %s" % (mark, forged, mark), PASSWORD)


# The check of key pairs


def members(
    made: Made, *, password: bytes | None = PASSWORD, public: bytes | None = None
) -> tuple[Member, ...]:
    files = {"/cosign.key": made.private, "/cosign.pub": made.public if public is None else public}
    found = [Member(path, "file", 0o600, 0, 0, 0, data) for path, data in files.items() if data]
    if password is not None:
        found.append(Member("/word", "file", 0o600, 0, 0, 0, password + b"\n", what="cosign password"))
    return capture.described(found)


def pair_check(found: tuple[Member, ...]) -> tuple[str, str]:
    (check,) = signatures.checks(found, lambda: signatures.passwords_in(found), None)
    finding = check.look()
    return finding.outcome.value, finding.detail


def test_a_pair_that_signs(made: Made) -> None:
    assert pair_check(members(made)) == (
        "passed",
        "1 private key opened, by PyNaCl; the public half verifies what each signs",
    )


def test_pairs_that_do_not(made: Made) -> None:
    stranger = cosign.public_half(cosign.new_private_key())
    assert pair_check(members(made, password=b"another")) == (
        "failed",
        "/cosign.key does not open with the password at hand",
    )
    assert pair_check(members(made, public=stranger)) == (
        "failed",
        "no public key in the bundle verifies what /cosign.key signs",
    )
    assert pair_check(members(made, password=None)) == (
        "not_provable",
        "/cosign.key is encrypted, and cosign_password_file in [secrets] names no password",
    )
    assert pair_check(members(made, public=b"")) == (
        "not_provable",
        "/cosign.key opens, and no public key is in the bundle to hold against it",
    )


def test_a_key_without_a_password(tmp_path: Path) -> None:
    run(tmp_path, "generate-key-pair", password=b"")
    private, public = (tmp_path / "cosign.key").read_bytes(), (tmp_path / "cosign.pub").read_bytes()
    made = Made(tmp_path, private, public, b"", b"", b"")
    assert pair_check(members(made, password=None))[0] == "passed"


# The check of stored signatures


def store(root: Path, data: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    path = storage.blob_path(root, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return digest


def stored(root: Path, layer: bytes, media_type: str, notes: dict[str, str]) -> StoredSignature:
    """A signature's manifest and payload in a registry's tree."""
    described = {
        "mediaType": media_type,
        "digest": store(root, layer),
        "size": len(layer),
        "annotations": notes,
    }
    return StoredSignature("library/a", store(root, json.dumps({"layers": [described]}).encode()), SUBJECT)


def simple(
    root: Path, made: Made, signature: bytes | None = None, more: dict[str, str] | None = None
) -> StoredSignature:
    value = base64.b64encode(made.signature if signature is None else signature).decode()
    notes = {"dev.cosignproject.cosign/signature": value, **(more or {})}
    return stored(root, made.payload, "application/vnd.dev.cosign.simplesigning.v1+json", notes)


def attested(root: Path, made: Made) -> StoredSignature:
    return stored(root, made.attestation, "application/vnd.dev.sigstore.bundle.v0.3+json", {})


def look(root: Path, made: Made, *found: StoredSignature, sampled: bool = False) -> tuple[str, str]:
    signed = signatures.Signed(partial(storage.read_small, root), lambda: found, root / "scratch", sampled)
    checks = signatures.checks(members(made), tuple, signed)
    finding = next(check for check in checks if check.kind is CheckKind.SIGNATURE).look()
    return finding.outcome.value, finding.detail


def test_one_signature_that_verifies_is_enough(made: Made, tmp_path: Path) -> None:
    wrong = simple(tmp_path, made, signature=b"\x30\x00")
    outcome, detail = look(tmp_path, made, wrong, simple(tmp_path, made))
    assert outcome == "passed"
    image = f"library/a@{SUBJECT}"
    said = f"the signature of {image} verifies with /cosign.pub, by cryptography and by cosign itself"
    assert detail == said


def test_a_bundle_with_an_envelope(made: Made, tmp_path: Path) -> None:
    outcome, detail = look(tmp_path, made, attested(tmp_path, made))
    # The program is given the image as well, which is not there.
    assert (outcome, detail.rpartition(", ")[2]) == ("passed", "by cryptography")
    assert store(tmp_path, b"an image") == SUBJECT
    outcome, detail = look(tmp_path, made, attested(tmp_path, made))
    assert (outcome, detail.rpartition(", ")[2]) == ("passed", "by cryptography and by cosign itself")
    assert cosign.program_verifies_bundle(made.public, made.attestation, b"x", tmp_path / "scratch") is False
    stranger = cosign.public_half(cosign.new_private_key())
    image = (made.directory / "image").read_bytes()
    assert cosign.program_verifies_bundle(stranger, made.attestation, image, tmp_path / "scratch") is False


def test_signatures_of_a_plain_registry_are_found(made: Made) -> None:
    """cosign pushes to a real registry: a bundle as a referrer, a signature as one, and one by its tag."""
    short = Path(tempfile.mkdtemp(prefix="drkit-cosign-", dir="/var/tmp"))
    try:
        with plain.running(short, plain.free_port()) as registry:
            image = registry.image("app", "v1", b"a layer")
            name = f"127.0.0.1:{registry.port}/app@{image}"
            private = ("--key", "cosign.key", "--tlog-upload=false", "--yes")
            bundle = ("--new-bundle-format", "--predicate", "predicate", "--type", "custom")
            run(made.directory, "attest", *private, *bundle, name)
            listed = list(signatures.listed_in(registry.root))
            assert [(each.repository, each.subject) for each in listed] == [("app", image)]
            found = look(registry.root, made, *listed)
            assert found[0] == "passed", found
            assert found[1].endswith("by cryptography and by cosign itself")
            # The index of referrers is not needed: each manifest names its subject.
            tag = registry.root / plain.TREE / "repositories/app/_manifests/tags" / image.replace(":", "-")
            shutil.rmtree(tag)
            assert list(signatures.listed_in(registry.root)) == listed
            run(made.directory, "sign", *private, name)
            assert len(list(signatures.listed_in(registry.root))) == 2
    finally:
        shutil.rmtree(short)


def test_signatures_that_do_not_verify(made: Made, tmp_path: Path) -> None:
    other = StoredSignature("library/a", simple(tmp_path, made).digest, "sha256:" + "0" * 64)
    altered = json.loads(made.attestation)
    altered["dsseEnvelope"]["payloadType"] = "text/plain"
    envelope = stored(
        tmp_path, json.dumps(altered).encode(), "application/vnd.dev.sigstore.bundle.v0.3+json", {}
    )
    wrong = simple(tmp_path, made, signature=b"\x30\x00")
    assert look(tmp_path, made, other, envelope, wrong) == (
        "failed",
        "none of 3 stored signatures verifies with /cosign.pub",
    )


def test_a_payload_with_other_bytes_does_not_count(made: Made, tmp_path: Path) -> None:
    found = simple(tmp_path, made)
    digest = f"sha256:{hashlib.sha256(made.payload).hexdigest()}"
    storage.blob_path(tmp_path, digest).write_bytes(made.payload + b" ")
    assert look(tmp_path, made, found)[0] == "failed"


def test_nothing_to_try(made: Made, tmp_path: Path) -> None:
    assert look(tmp_path, made) == ("not_provable", "the registry holds no signature made with a key pair")
    keyless = simple(tmp_path, made, more={"dev.sigstore.cosign/certificate": "a certificate"})
    assert look(tmp_path, made, keyless)[0] == "not_provable"
    gone = StoredSignature("library/a", "sha256:" + "1" * 64, SUBJECT)
    assert look(tmp_path, made, gone, sampled=True)[0] == "not_provable"
    assert look(tmp_path, made, gone) == ("failed", "none of 1 stored signatures came back with the images")


def test_every_planted_fault_is_caught(made: Made, tmp_path: Path) -> None:
    found = simple(tmp_path, made)
    signed = signatures.Signed(
        partial(storage.read_small, tmp_path), lambda: [found], tmp_path / "scratch", sampled=False
    )
    outcomes = dict.fromkeys((CheckKind.SIGNING_KEYS, CheckKind.SIGNATURE), Outcome.PASSED)
    controls = signatures.controls(members(made), signed, outcomes)
    results = [control.run() for control in controls if isinstance(control, Control)]
    assert [(result.name, result.caught) for result in results] == [
        ("another's cosign key", True),
        ("another's public key", True),
    ]
