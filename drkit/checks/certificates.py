"""Checks on the certificates of a bundle: their end, their issuers, the registry's own name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, not_provable, passed, verdict
from drkit.errors import ConfigError
from drkit.harbor.installation import Installation, parse_installation
from drkit.model import CheckKind, Outcome, no_certificate
from drkit.secrets import classify, kinds
from drkit.secrets.bundle import Member
from drkit.secrets.expiry import expiry_fault
from drkit.secrets.kinds import SecretKind
from drkit.tools import x509
from drkit.tools.tally import first_few
from drkit.tools.x509 import Certificate

# Deeper than any chain that a client follows; a circle of issuers ends there too.
_DEPTH = 8
# More certificates of one issuer than any cross-signing makes; each is a way to follow.
_WAYS = 3


def checks(members: Sequence[Member], now: datetime, warning: timedelta) -> Iterator[Check]:
    """The checks for which the bundle has something to look at; `warning` as in [secrets] expiry_warning."""
    if any(_holds_certificates(member) for member in members):
        yield Check(CheckKind.EXPIRY, lambda: none_expires(members, now, warning))
        yield Check(CheckKind.CHAINS, lambda: chains_are_whole(members))
    if installation(members) is not None:
        yield Check(CheckKind.HOSTNAME, lambda: hostname_is_covered(members))
    if encrypted_keys(members):
        yield Check(CheckKind.ENCRYPTED_KEYS, lambda: encrypted_keys_said(members))


def _holds_certificates(member: Member) -> bool:
    return x509.holds_certificate(member.data) or member.what in kinds.ABOUT_CERTIFICATES


def _read(members: Sequence[Member]) -> tuple[dict[str, Sequence[Certificate]], list[str]]:
    """Path -> the certificates whose end matters, and what is wrong with files that cannot be read."""
    found: dict[str, Sequence[Certificate]] = {}
    faults = []
    for member in members:
        try:
            certificates = classify.certificates_in(member.what, member.data)
        except ValueError:
            faults.append(no_certificate(member.path, member.data).said)
            continue
        if certificates:
            found[member.path] = certificates
    return found, faults


def none_expires(members: Sequence[Member], now: datetime, warning: timedelta) -> Finding:
    """No certificate has expired, is not valid yet, or ends within the time that the configuration says."""
    found, faults = _read(members)
    ends: list[tuple[datetime, str]] = []
    for path, certificates in sorted(found.items()):
        for each in certificates:
            ends.append((each.not_after, path))
            if (fault := expiry_fault(each.not_before, each.not_after, now, warning)) is not None:
                faults.append(f"{path}{_which(each, certificates)} {fault}")
    if not ends and not faults:
        return not_provable("only collections of trusted certificates, whose ends are not judged")
    end, path = min(ends, default=(now, ""))
    return verdict(faults, f"the first of {len(ends)} to expire does so on {end:%Y-%m-%d}: {path}")


def _which(certificate: Certificate, among: Sequence[Certificate]) -> str:
    """The subject, where a file holds several."""
    return f" ({certificate.subject})" if len(among) > 1 else ""


def chains_are_whole(members: Sequence[Member]) -> Finding:
    """Every certificate's issuers lead to an authority in the bundle.

    One of this machine is not in the point: what only that confirms is named, and no pass.
    """
    found, faults = _read(members)
    pool = _all_certificates(members)
    unknown: list[str] = []
    count = 0
    for path, certificates in sorted(found.items()):
        for each in certificates:
            count += 1
            said, sure = _follow(each, pool)
            if said is not None:
                (faults if sure else unknown).append(f"{path}{_which(each, certificates)} {said}")
    if faults or not unknown:
        return verdict(faults, f"{count} certificates, each by an authority in the bundle")
    return not_provable(first_few(unknown, "; "))


def _follow(certificate: Certificate, pool: Sequence[Certificate]) -> tuple[str | None, bool]:
    """What keeps a chain from its end in the bundle, if anything does, and whether it is surely a fault."""
    said, sure = _lead(certificate, pool, _DEPTH)
    if said is None:
        return None, True
    beyond, sure = _lead(certificate, [*pool, *x509.system_authorities()], _DEPTH)
    if beyond is not None:
        return beyond, sure
    return "leads to an authority of this machine, which is not in the bundle", False


def _lead(certificate: Certificate, pool: Sequence[Certificate], depth: int) -> tuple[str | None, bool]:
    """The same, with issuers from a pool alone.

    One way to an authority is enough: an issuer may be there twice, signed by itself and by another.
    """
    if certificate.self_signed:
        return None, True
    if not depth:
        return "has a chain of issuers without end", True
    named = x509.named_issuers(certificate, pool)
    if not named:
        return (
            f"is issued by {certificate.issuer}, which is neither in the bundle nor among the authorities "
            "of this machine",
            False,
        )
    issuers = [each for each in named if x509.issued_by(certificate, each)]
    if not issuers:
        return f"says that {certificate.issuer} issued it, whose key did not sign it", True
    able = [each for each in issuers if each.authority]
    if not able:
        return f"is issued by {certificate.issuer}, which is no authority", True
    unique = {each.parsed: each for each in able}.values()
    found = [
        _lead(each, pool, depth - 1) for each in sorted(unique, key=lambda each: not each.self_signed)[:_WAYS]
    ]
    return next((way for way in found if way[0] is None), found[0])


def _all_certificates(members: Sequence[Member]) -> list[Certificate]:
    found: list[Certificate] = []
    for member in members:
        if x509.holds_certificate(member.data) or member.what in (
            SecretKind.CERTIFICATE,
            SecretKind.AUTHORITY,
        ):
            try:
                found += x509.read_certificates(member.data)
            except ValueError:
                continue
    return found


def installation(members: Sequence[Member]) -> Installation | None:
    """What the bundle's harbor.yml says, where it has one with a certificate in it."""
    for member in members:
        if member.what == SecretKind.HARBOR_YML:
            try:
                found = parse_installation(member.data, Path(member.path))
            except ConfigError:
                continue
            if found.certificate is not None:
                return found
    return None


def hostname_is_covered(members: Sequence[Member]) -> Finding:
    """The certificate that harbor.yml names is for the name that clients ask for."""
    found = installation(members)
    assert found is not None
    path = str(found.certificate)
    data = next((member.data for member in members if member.path == path), None)
    if data is None:
        # That it is missing is for the check of what harbor.yml names.
        return not_provable(f"{path}, which harbor.yml names, is not in the bundle")
    try:
        certificate = x509.read_certificate(data)
    except ValueError:
        return failed(no_certificate(path, data).said)
    if x509.covers(certificate, found.public_host):
        return passed(f"{path} is for {found.public_host}")
    names = ", ".join(certificate.names[:5]) or "no name"
    return failed(f"{path} is for {names}, and not for {found.public_host}, which harbor.yml says")


def encrypted_keys(members: Sequence[Member]) -> list[str]:
    """The keys and key stores that need a password, but for cosign's, which have a check of their own."""
    return [member.path for member in members if member.what in kinds.LOCKED]


def encrypted_keys_said(members: Sequence[Member]) -> Finding:
    """Keys that nobody can try without their passwords are named, and never passed."""
    return not_provable(f"not tried, for they need a password: {first_few(encrypted_keys(members))}")


def controls(
    members: Sequence[Member], outcomes: Mapping[CheckKind, Outcome], now: datetime
) -> Iterator[Control | Unplanted]:
    """A clock set after the end of a certificate, and a certificate that its issuer did not sign."""
    leaf = next(
        (
            m
            for m in members
            if m.what in (SecretKind.CERTIFICATE, SecretKind.BOTH, SecretKind.BOTH_ENCRYPTED)
        ),
        None,
    )
    if outcomes.get(CheckKind.EXPIRY) is Outcome.PASSED:
        late = datetime.max.replace(tzinfo=UTC)
        yield Control(
            "expired certificate",
            "the clock set to the end of time",
            lambda: none_expires(members, late, timedelta(0)),
        )
    elif CheckKind.EXPIRY in outcomes:
        yield Unplanted("expired certificate", "no certificate was in its time to begin with")
    if outcomes.get(CheckKind.CHAINS) is Outcome.PASSED and leaf is not None:
        yield Control(
            "forged certificate",
            f"one in place of {leaf.path} that says the same and that its issuer did not sign",
            lambda: chains_are_whole(_with_forgery(members, leaf, now)),
        )
    elif CheckKind.CHAINS in outcomes:
        yield Unplanted("forged certificate", "no certificate had a whole chain of issuers to begin with")


def _with_forgery(members: Sequence[Member], leaf: Member, now: datetime) -> list[Member]:
    authority = next((c for c in _all_certificates(members) if c.authority), None)
    issuer = authority or x509.read_certificate(leaf.data)
    # With the issuer beside it: its name is known then, and its key is held against the signature.
    data = x509.forge(issuer, now) + x509.as_pem(issuer)
    forged = replace(leaf, data=data, what=SecretKind.CERTIFICATE)
    return [*(member for member in members if member is not leaf), forged]
