"""Certificates in a bundle: their end, their issuers, the registry's own name; and what plants a fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from drkit.checks import certificates
from drkit.checks.finding import Control, Finding, Unplanted
from drkit.checks.pairs import find_pairs, pairs_match
from drkit.model import CheckKind, Outcome
from drkit.secrets import capture
from drkit.secrets.bundle import Member
from drkit.tools import x509
from tests.unit.checks.authority import NOW, issue

MONTH = timedelta(days=30)
ROOT = issue("a root", authority=True, days=3650)
MIDDLE = issue("in the middle", ROOT, authority=True, days=1000)
LEAF = issue("registry", MIDDLE, names=("registry.example.com", "*.apps.example.com", "192.0.2.7"))
STRANGER = issue("a root", authority=True, days=3650)


def members(**files: bytes) -> tuple[Member, ...]:
    """Files by name; `_` stands for a dot."""
    made = [Member(f"/{n.replace('_', '.')}", "file", 0o600, 0, 0, 0, data) for n, data in files.items()]
    return capture.described(made)


def harbor(hostname: str, *more: str) -> bytes:
    lines = [f"hostname: {hostname}", "https: {certificate: /a.crt, private_key: /a.key}", *more]
    return "\n".join(lines).encode()


def outcomes(found: Sequence[Member], warning: timedelta = MONTH) -> dict[CheckKind, Finding]:
    return {check.kind: check.look() for check in certificates.checks(found, NOW, warning)}


CHAIN = members(a_crt=LEAF.pem + MIDDLE.pem, a_key=LEAF.key_pem, ca_crt=ROOT.pem)


def test_all_is_well() -> None:
    found = outcomes((*CHAIN, *members(harbor_yml=harbor("registry.example.com"))))
    assert {name: (f.outcome.value, f.detail) for name, f in found.items()} == {
        CheckKind.EXPIRY: ("passed", "the first of 3 to expire does so on 2027-02-21: /a.crt"),
        CheckKind.CHAINS: (
            "passed",
            "3 certificates, each by an authority in the bundle",
        ),
        CheckKind.HOSTNAME: ("passed", "/a.crt is for registry.example.com"),
    }


def test_no_certificates_no_checks() -> None:
    assert outcomes(members(secretkey=b"naa4JtarA1Zsc3uY", harbor_yml=b"hostname: h")) == {}


# Expiry


@pytest.mark.parametrize(
    ("days", "start", "said"),
    [
        (32, -1, None),
        (30.5, -1, "/a.crt expires on 2026-12-23"),
        (1, -1, "/a.crt expired on 2026-11-24"),
        (1, -10, "/a.crt expired on 2026-11-15"),
        (90, 2, "/a.crt is not valid before 2026-11-26"),
    ],
)
def test_the_end_and_the_beginning(days: float, start: int, said: str | None) -> None:
    made = issue("a", days=days, start=NOW + timedelta(days=start))
    found = outcomes(members(a_crt=made.pem))[CheckKind.EXPIRY]
    assert (found.outcome, found.detail) == ("failed", said) if said else found.outcome == "passed"


def test_every_certificate_of_a_file_counts() -> None:
    """The end of the one in the middle is an outage like the end of the first."""
    middle = issue("in the middle", ROOT, authority=True, days=20)
    leaf = issue("registry", middle, days=300)
    found = outcomes(members(a_crt=leaf.pem + middle.pem, ca_crt=ROOT.pem))[CheckKind.EXPIRY]
    assert found.detail == "/a.crt (CN=in the middle) expires on 2026-12-13"


def test_a_store_of_trusted_certificates_is_not_judged() -> None:
    old = issue("an old root", authority=True, days=1, start=NOW - MONTH)
    store = ROOT.pem + STRANGER.pem + old.pem
    (member,) = members(ca_bundle_crt=store)
    assert member.what == "trusted CA certificates"
    assert outcomes([member])[CheckKind.EXPIRY].outcome == "not_provable"
    assert capture.certificate_facts([member]) == ()


def test_what_cannot_be_read_is_a_fault() -> None:
    found = outcomes(members(a_crt=LEAF.pem[:300] + b"\n-----END CERTIFICATE-----\n"))
    assert found[CheckKind.EXPIRY].outcome == "failed"
    assert found[CheckKind.EXPIRY].detail == "/a.crt cannot be read as a certificate"
    assert found[CheckKind.CHAINS].outcome == "failed"


# Chains


def test_an_issuer_that_is_nowhere_is_not_provable_and_no_pass() -> None:
    found = outcomes(members(a_crt=LEAF.pem + MIDDLE.pem))[CheckKind.CHAINS]
    assert found.outcome == "not_provable"
    assert found.detail.startswith(
        "/a.crt (CN=registry) is issued by CN=a root, which is neither in the bundle"
    )


def test_an_issuer_of_the_same_name_with_another_key() -> None:
    found = outcomes(members(a_crt=MIDDLE.pem, ca_crt=STRANGER.pem))[CheckKind.CHAINS]
    assert (found.outcome, found.detail) == (
        "failed",
        "/a.crt says that CN=a root issued it, whose key did not sign it",
    )


def test_a_leaf_issues_nothing() -> None:
    below = issue("below", LEAF)
    found = outcomes(members(a_crt=below.pem, b_crt=LEAF.pem, c_crt=MIDDLE.pem, ca_crt=ROOT.pem))
    assert found[CheckKind.CHAINS].detail == "/a.crt is issued by CN=registry, which is no authority"


def test_an_authority_with_two_keys_of_one_name() -> None:
    """A renewed CA beside the old one: whichever signed it will do."""
    found = outcomes(members(a_crt=MIDDLE.pem, old_crt=STRANGER.pem, new_crt=ROOT.pem))
    assert found[CheckKind.CHAINS].outcome == "passed"


def test_an_issuer_that_two_authorities_have_signed() -> None:
    """One way to a root is enough, whichever of the two certificates comes first."""
    nowhere = issue("a root that is nowhere", authority=True, days=3650)
    crossed = issue("in the middle", nowhere, authority=True, days=900, key_of=MIDDLE)
    for first, second in ((crossed, MIDDLE), (MIDDLE, crossed)):
        found = outcomes(members(a_crt=LEAF.pem, b_crt=first.pem, c_crt=second.pem, ca_crt=ROOT.pem))
        assert "/a.crt" not in found[CheckKind.CHAINS].detail, "only the crossed one leads nowhere"


def test_what_is_in_der_pairs() -> None:
    der = LEAF.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for files in ({"/x/a.crt": LEAF.pem, "/x/a.key": der}, {"/x/a.crt": LEAF.der, "/x/a.key": LEAF.key_pem}):
        (pair,) = find_pairs(files)
        assert pairs_match(files, [pair]).outcome == "passed"
        assert pairs_match({**files, "/x/a.key": ROOT.key_pem}, [pair]).outcome == "failed"


def test_what_needs_a_password_is_named_wherever_it_stands() -> None:
    """An encrypted key behind its certificate, and a store that nobody looked into."""
    bundle = members(both_pem=LEAF.pem + LEAF.sealed_key, store_p12=b"\x30\x82", ca_crt=ROOT.pem)
    found = outcomes(bundle)
    assert found[CheckKind.ENCRYPTED_KEYS].detail.endswith(": /both.pem, /store.p12")
    assert found[CheckKind.ENCRYPTED_KEYS].outcome == "not_provable"
    assert found[CheckKind.EXPIRY].detail.startswith("the first of 2 ")


# The hostname


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        (("registry.example.com",), "passed"),
        (("REGISTRY.example.com",), "passed"),
        (("one.apps.example.com",), "passed"),
        (("192.0.2.7",), "passed"),
        (("a.one.apps.example.com",), "failed"),
        (("apps.example.com",), "failed"),
        (("192.0.2.8",), "failed"),
        (("registry",), "failed"),
        (("internal", "external_url: https://registry.example.com:8443"), "passed"),
        (("registry.example.com", "external_url: https://elsewhere.example.com"), "failed"),
    ],
)
def test_the_name_that_clients_ask_for(lines: tuple[str, ...], outcome: str) -> None:
    found = outcomes((*CHAIN, *members(harbor_yml=harbor(*lines))))[CheckKind.HOSTNAME]
    assert found.outcome == outcome


def test_a_certificate_that_is_not_in_the_bundle() -> None:
    """What fails is the check of what harbor.yml names; neither pairs nor names say it again."""
    bundle = members(harbor_yml=harbor("h"), ca_crt=ROOT.pem)
    found = outcomes(bundle)[CheckKind.HOSTNAME]
    assert (found.outcome, found.detail) == (
        "not_provable",
        "/a.crt, which harbor.yml names, is not in the bundle",
    )
    assert find_pairs({member.path: member.data for member in bundle}) == ()


# Keys


def test_encrypted_keys_are_named_and_never_passed() -> None:
    bundle = members(a_crt=LEAF.pem, a_key=LEAF.sealed_key)
    assert find_pairs({member.path: member.data for member in bundle}) == ()
    found = outcomes(bundle)[CheckKind.ENCRYPTED_KEYS]
    assert (found.outcome, found.detail) == ("not_provable", "not tried, for they need a password: /a.key")


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        ("/x/a.crt", "/x/a.key"),
        ("/x/a.pem", "/x/a.key"),
        ("/x/a.pem", "/x/a-key.pem"),
        ("/live/h/fullchain.pem", "/live/h/privkey.pem"),
        ("/live/h/cert.pem", "/live/h/privkey.pem"),
        ("/d/secret/registry/root.crt", "/d/secret/core/private_key.pem"),
    ],
)
def test_pairs_by_their_names(certificate: str, key: str) -> None:
    files = {certificate: LEAF.pem, key: LEAF.key_pem}
    (pair,) = find_pairs(files)
    assert (pair.certificate, pair.key) == (certificate, key)
    assert pairs_match(files, [pair]).outcome == "passed"
    assert pairs_match({**files, key: ROOT.key_pem}, [pair]).outcome == "failed"


def test_a_file_with_both() -> None:
    (pair,) = find_pairs({"/both.pem": LEAF.key_pem + LEAF.pem})
    assert pair.certificate == pair.key == "/both.pem"
    assert pairs_match({"/both.pem": LEAF.key_pem + LEAF.pem}, [pair]).outcome == "passed"
    assert pairs_match({"/both.pem": ROOT.key_pem + LEAF.pem}, [pair]).outcome == "failed"


# Controls


@pytest.mark.parametrize(
    "bundle",
    [
        CHAIN,
        members(a_crt=ROOT.pem),
        members(a_crt=issue("by itself").pem),
        members(a_crt=LEAF.pem + MIDDLE.pem + ROOT.pem),
    ],
)
def test_every_planted_fault_is_caught(bundle: tuple[Member, ...]) -> None:
    found = {name: finding.outcome for name, finding in outcomes(bundle).items()}
    assert set(found.values()) == {"passed"}
    controls = certificates.controls(bundle, found, NOW)
    results = [control.run() for control in controls if isinstance(control, Control)]
    assert results
    assert all(result.caught for result in results), results


def test_no_control_for_what_did_not_pass() -> None:
    failed = dict.fromkeys((CheckKind.EXPIRY, CheckKind.CHAINS), Outcome.FAILED)
    names = ["expired certificate", "forged certificate"]
    assert [each.name for each in certificates.controls(CHAIN, failed, NOW)] == names
    assert all(isinstance(each, Unplanted) for each in certificates.controls(CHAIN, failed, NOW))
    assert list(certificates.controls(CHAIN, {}, NOW)) == []


# Facts for the manifest


def test_facts_are_what_anybody_may_see() -> None:
    facts = capture.certificate_facts(CHAIN)
    assert [(f.path, f.subject, f.issuer, f.authority) for f in facts] == [
        ("/a.crt", "CN=registry", "CN=in the middle", False),
        ("/a.crt", "CN=in the middle", "CN=a root", True),
        ("/ca.crt", "CN=a root", "CN=a root", True),
    ]
    assert facts[0].names == ("registry.example.com", "*.apps.example.com", "192.0.2.7")
    assert (facts[0].not_before, facts[0].not_after) == (
        NOW - timedelta(days=1),
        NOW + timedelta(days=89),
    )


def test_a_certificate_in_der() -> None:
    (member,) = members(a_crt=LEAF.der)
    assert member.what == "certificate"
    assert capture.certificate_facts([member])[0].subject == "CN=registry"
    assert outcomes([replace(member)])[CheckKind.EXPIRY].outcome == "passed"


def test_an_authority_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(
        STRANGER.pem + b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n" + ROOT.pem
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    x509.system_authorities.cache_clear()
    try:
        found = outcomes(members(a_crt=LEAF.pem + MIDDLE.pem))[CheckKind.CHAINS]
        assert found.outcome == "not_provable", "another machine may not have it"
        where = "leads to an authority of this machine, which is not in the bundle"
        assert found.detail == f"/a.crt (CN=registry) {where}; /a.crt (CN=in the middle) {where}"
    finally:
        x509.system_authorities.cache_clear()
