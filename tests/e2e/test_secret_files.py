"""The secrets: found, understood, watched for change, and refused where they are not what was packed."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from drkit.secrets import bundle as bundles
from testenv import Site, damage
from tests import needs
from tests.e2e.commands import Drkit, fails
from tests.e2e.conftest import Drilled
from tests.e2e.resealing import manifest_of, reseal, sealed_bundle
from tests.e2e.test_bad_input import only
from tests.e2e.test_drill_fails import put_back

SECRET_KEY = "secret/keys/secretkey"
INTERNAL = "certificates and keys between Harbor's components, with harbor_internal_ca"


def opened(drkit: Drkit, bundle: bytes) -> bytes:
    """What the age program makes of a bundle."""
    command = [needs.program("age"), "-d", "-i", str(drkit.identity)]
    return subprocess.run(command, input=bundle, capture_output=True, check=True).stdout


def closed(drkit: Drkit, tar: bytes) -> bytes:
    """The same by the age program, for drkit's recipient."""
    keygen = [needs.program("age-keygen"), "-y", str(drkit.identity)]
    recipient = subprocess.run(keygen, capture_output=True, check=True, text=True).stdout.strip()
    command = [needs.program("age"), "-r", recipient]
    return subprocess.run(command, input=tar, capture_output=True, check=True).stdout


def checks(drkit: Drkit) -> tuple[int, dict[str, Any]]:
    """The exit code of a drill, and what its checks found."""
    ended = drkit.run("drill", "--json")
    result = ended.envelope["result"]
    assert all(control["caught"] for control in result["controls"])
    return ended.code, {check["name"]: (check["outcome"], check["detail"]) for check in result["checks"]}


# Finding


def test_init_says_what_it_found_and_what_is_missing(site: Site, new_home: Callable[[], Path]) -> None:
    home = new_home()
    home.mkdir()
    yml = home / "harbor.yml"
    more = "uaa: {ca_file: /nowhere/uaa.crt}\ninternal_tls: {enabled: true, dir: /nowhere/tls}\n"
    yml.write_text(site.harbor_yml.read_text() + more)
    yml.chmod(0o600)
    drkit = Drkit(home)
    places = (
        "--repository",
        str(drkit.repository),
        "--output",
        str(drkit.config),
        "--state",
        str(drkit.state),
    )
    cosign = ("--secret", str(site.cosign / "cosign.key"))
    result = drkit.ask("init", "--harbor", str(yml), *cosign, *places)
    purposes = {each["path"]: each["purpose"] for each in result["secret_purposes"]}
    assert purposes[str(site.tls / "server.crt")] == "the registry's certificate"
    assert purposes[str(site.cosign / "cosign.key")] == "cosign private key, encrypted (you named it)"
    assert str(site.data / "secret") in purposes
    assert result["warnings"] == [
        f"/nowhere/tls is not there: {INTERNAL}",
        "/nowhere/uaa.crt is not there: the CA certificate of the UAA login service",
    ]
    assert f'"{site.tls}/server.key",    # the private key of that certificate' in drkit.config.read_text()


def test_a_path_that_matches_nothing_is_no_backup(fresh: Drkit, site: Site) -> None:
    fresh.change(only("secrets"))
    fresh.change(lambda document: document["secrets"]["paths"].append(f"{site.tls}/*.p12"))
    message = f"no recovery point was sealed: secrets: nothing matches {site.tls}/\\*.p12"
    hint = r"see paths in \[secrets\]; a key that was moved is not backed up"
    fails(fresh, ["backup"], 3, "backup_incomplete", message, hint)


# What is in a point


def test_what_each_file_is_stands_in_the_manifest_and_in_the_bundle(drilled: Drilled, site: Site) -> None:
    found = drilled.drkit.ask("show", "latest")
    kinds = {file["path"]: file["what"] for file in found["secret_files"]}
    assert kinds[f"{site.data}/{SECRET_KEY}"] == "secret key"
    assert kinds[f"{site.data}/secret/core/private_key.pem"] == "token key"
    assert kinds[f"{site.data}/ca_download/ca.crt"] == "CA certificate"
    assert kinds[str(site.cosign / "cosign.key")] == "cosign private key, encrypted"
    assert kinds[str(site.cosign / "cosign.password")] == "cosign password"
    subjects = {each["path"]: each["subject"] for each in found["certificates"] if not each["authority"]}
    assert subjects[str(site.tls / "server.crt")] == "CN=registry.example.test,O=Example"
    tar = opened(drilled.drkit, sealed_bundle(drilled.drkit))
    index = bundles.unpack(tar)
    assert {m.path: m.what for m in index.members if m.kind == "file"} == kinds


def test_no_hash_of_a_secret_stands_in_the_open(drilled: Drilled, site: Site) -> None:
    """Whoever reads the manifest can neither confirm a guess of the secret key nor search for it."""
    manifest = manifest_of(drilled.drkit)
    files = {file["path"]: file for file in manifest["secret_files"]}
    found = files[f"{site.data}/{SECRET_KEY}"]
    secret = (site.data / SECRET_KEY).read_bytes()
    key = (drilled.drkit.state / "fingerprint.key").read_text()
    for algorithm in ("md5", "sha1", "sha256", "sha512", "blake2b"):
        assert hashlib.new(algorithm, secret).hexdigest() not in str(manifest)
    assert key not in str(manifest)
    assert len(found["fingerprint"]) == 64


# Change


def test_change_is_told_by_the_backup_and_by_status_until_a_drill_has_passed(
    fresh: Drkit, site: Site
) -> None:
    fresh.change(only("secrets"))
    first = fresh.ask("backup")
    assert first["warnings"] == []
    with ExitStack() as stack:
        token = site.data / "secret/registry/root.crt"
        plain = site.data / "secret/extra/plain"
        for path in (site.data / SECRET_KEY, site.tls / "server.key", plain, token):
            stack.enter_context(put_back(path))
        token.unlink()
        damage.replace_secret_key(site)
        damage.replace_tls_key(site)
        plain.unlink()
        fresh.change(lambda d: d["secrets"]["paths"].append(str(site.root / "ca/ca.key")))
        (site.data / "secret/extra/link").unlink()
        second = fresh.ask("backup")
    (site.data / "secret/extra/link").symlink_to("plain")
    since = f"since point {first['id']}"
    problem = (
        f"the secret key {site.data}/{SECRET_KEY} is another one {since}: "
        "what Harbor encrypted before cannot be decrypted with a new one"
    )
    lost = f"the token certificate {token} is gone {since}"
    fault = f"{site.tls}/server.key is not the key of {site.tls}/server.crt"
    assert second["warnings"] == [
        f"{token} is not in the bundle; {fault}",
        problem,
        lost,
        f"secret files gone {since}: {site.data}/secret/extra/plain",
        f"secret files new {since}: {site.root}/ca/ca.key (private key)",
        f"secret files changed {since}: {site.tls}/server.key (private key)",
    ]
    told = fresh.run("status", "--json").envelope["result"]["problems"]
    assert {problem, lost, f"in point {second['id']} {fault}"} <= set(told)
    third = fresh.ask("backup")
    back = problem.replace(first["id"], second["id"])
    assert back in third["warnings"], "and the old one back is a change as well"
    told = fresh.run("status", "--json").envelope["result"]["problems"]
    assert not any("secret key" in each or "token" in each for each in told), "all is as it was at first"
    assert fresh.ask("drill")["outcome"] == "passed"
    assert not any("secret key" in each for each in fresh.ask("status")["problems"])


def test_a_certificate_that_is_about_to_end(fresh: Drkit, site: Site) -> None:
    fresh.change(only("secrets"))
    with put_back(site.tls / "server.crt"), put_back(site.data / "secret/cert/server.crt"):
        damage.renew_certificate(site, days=10)
        renewed = x509.load_pem_x509_certificate((site.tls / "server.crt").read_bytes())
        end = f"{renewed.not_valid_after_utc:%Y-%m-%d}"
        warnings = fresh.ask("backup")["warnings"]
        fails(
            fresh,
            ["doctor"],
            4,
            "config_error",
            f"1 problem; the first: .*/server.crt .* expires on {end}.*",
            ".*",
        )
        fresh.change(lambda document: document["secrets"].update(expiry_warning="9d"))
        fresh.ask("doctor")
    assert f"{site.tls}/server.crt (CN=registry.example.test,O=Example) expires on {end}" in warnings[0]
    fresh.change(lambda document: document["secrets"].update(expiry_warning="11d"))
    problem = f"the certificate {site.tls}/server.crt (CN=registry.example.test,O=Example) expires on {end}"
    assert problem in fresh.run("status", "--json").envelope["result"]["problems"]
    code, found = checks(fresh)
    assert code == 5
    assert [name for name, (outcome, _) in found.items() if outcome == "failed"] == ["certificate expiry"]


# Bundles that are not what was packed


@pytest.fixture
def secrets_only(fresh: Drkit) -> Drkit:
    """One sealed point of secrets alone."""
    fresh.change(only("secrets"))
    fresh.ask("backup")
    return fresh


def test_a_bundle_made_by_tar_and_age(
    secrets_only: Drkit, site: Site, tmp_path: Path, new_home: Callable[[], Path]
) -> None:
    """It comes back; but what nobody wrote down is not called proven."""
    drkit = secrets_only
    unpack = [needs.program("tar"), "-xpC", str(tmp_path), "--exclude=drkit-bundle.json"]
    subprocess.run(unpack, input=opened(drkit, sealed_bundle(drkit)), check=True)
    pack = [needs.program("tar"), "-C", str(tmp_path), "-c", "."]
    reseal(drkit, closed(drkit, subprocess.run(pack, check=True, capture_output=True).stdout))
    code, found = checks(drkit)
    assert code == 0
    outcome, detail = found["secrets bundle"]
    assert outcome == "not_provable"
    assert "the bundle has no index, so nobody knows what they held" in detail
    assert found["certificate pairs"][0] == "passed"
    root = new_home()
    drkit.ask("restore", "latest", "--root", str(root), "--yes")
    assert (Path(f"{root}{site.data}") / SECRET_KEY).read_bytes() == (site.data / SECRET_KEY).read_bytes()


def hostile(tar: bytes) -> bytes:
    """A bundle with everything that it should have, and one member more."""
    buffer = io.BytesIO(tar)
    with tarfile.open(fileobj=buffer, mode="a", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("../../../../tmp/drkit-was-here")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    return buffer.getvalue()


REFUSED = {
    "hostile": "the secrets bundle is refused: member '../../../../tmp/drkit-was-here' leaves its root",
    "cut": "the secrets bundle is damaged: .*",
    "altered": "the secrets bundle is refused: '.*/secretkey' is not what its index says",
    "another point's": ".*/secretkey differs",
}


def spoilt(drkit: Drkit, what: str, secret: bytes) -> bytes:
    """The only point's bundle, as it should not be."""
    sealed = sealed_bundle(drkit)
    tar = opened(drkit, sealed)
    match what:
        case "hostile":
            return closed(drkit, hostile(tar))
        case "cut":
            return sealed[: len(sealed) // 2]
        case "altered":
            return closed(drkit, tar.replace(secret, secret[::-1]))
        case _:
            bundle = bundles.unpack(tar)
            members = [replace(m, data=m.data[::-1] if m.data == secret else m.data) for m in bundle.members]
            return closed(drkit, bundles.pack(members, bundle.fingerprint_key))


@pytest.mark.parametrize("what", REFUSED)
def test_a_bundle_that_is_refused(
    secrets_only: Drkit, site: Site, what: str, new_home: Callable[[], Path]
) -> None:
    drkit = secrets_only
    reseal(drkit, spoilt(drkit, what, (site.data / SECRET_KEY).read_bytes()))
    code, found = checks(drkit)
    assert code == 5, "the point is damaged: a verdict, not a drill that could not run"
    outcome, detail = found["secrets bundle"]
    assert outcome == "failed"
    assert re.fullmatch(REFUSED[what], detail), detail
    if what != "another point's":
        (drill,) = drkit.ask("drills")["drills"]
        assert drill["recovery_time_seconds"] is None, "the secrets are not back"
        root = new_home()
        words = ["restore", "latest", "--root", str(root), "--yes"]
        fails(drkit, words, 7, "restore_damaged", REFUSED[what], ".*another point.*")
        assert not root.exists(), "nothing was written"
