"""What is wrong with private keys and their certificates, by kind and in words."""

from __future__ import annotations

import pytest

from drkit.checks.pairs import faults, keys_whole
from tests.unit.checks.authority import issue

ROOT = issue("a root", authority=True)
LEAF, RENEWED = issue("registry", ROOT), issue("registry", ROOT)
CRT, KEY = "/tls/a.crt", "/tls/a.key"
TOKEN = ("/data/secret/registry/root.crt", "/data/secret/core/private_key.pem")
TLS = {CRT: LEAF.pem, KEY: LEAF.key_pem}
CUT = LEAF.key_pem[:60]
# As in a file of a cloud's service account: a key inside of something else.
INSIDE = b'{"private_key": "-----BEGIN PRIVATE KEY-----\\nMII=\\n-----END PRIVATE KEY-----\\n"}'
PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (TLS, []),
        ({CRT: RENEWED.pem, KEY: RENEWED.key_pem}, []),
        ({CRT: RENEWED.pem, KEY: LEAF.key_pem}, [f"{KEY} is not the key of {CRT}"]),
        ({**TLS, KEY: b""}, [f"{KEY} is empty"]),
        ({**TLS, KEY: b"\n"}, [f"{KEY} is empty"]),
        ({**TLS, KEY: CUT}, [f"{KEY} cannot be read as a key"]),
        ({**TLS, CRT: LEAF.pem[:300]}, [f"{CRT} cannot be read as a certificate"]),
        (dict(zip(TOKEN, (LEAF.pem, LEAF.key_pem), strict=True)), []),
        ({TOKEN[0]: LEAF.pem}, [f"{TOKEN[1]} is not in the bundle"]),
        ({TOKEN[1]: LEAF.key_pem}, [f"{TOKEN[0]} is not in the bundle"]),
        ({TOKEN[0]: b"", TOKEN[1]: LEAF.key_pem}, [f"{TOKEN[0]} is empty"]),
        # A key without a certificate.
        ({"/sign.key": LEAF.key_pem}, []),
        ({"/sign.key": PARAMETERS + LEAF.key_pem}, []),
        ({"/sign.key": LEAF.sealed_key}, []),
        ({"/sign.key": CUT}, ["/sign.key cannot be read as a key"]),
        ({"/account.json": INSIDE}, []),
    ],
)
def test_what_is_wrong_with_keys(files: dict[str, bytes], said: list[str]) -> None:
    assert [fault.said for fault in faults(files)] == said
    assert keys_whole(files).outcome == ("failed" if said else "passed")
