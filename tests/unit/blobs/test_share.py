"""Which blobs are among a share of them."""

from drkit.blobs.share import share


def test_a_share_of_the_data() -> None:
    digests = [f"sha256:{number * 2654435761 % (1 << 256):064x}" for number in range(700)]
    parts = [{e for e in digests if share(f"{n}/7", 700)(e)} for n in range(1, 8)]
    assert sum(map(len, parts)) == 700
    assert set().union(*parts) == set(digests)
    assert all(parts)
    assert not any(map(share(None, 700), digests))
    assert all(map(share("100%", 700), digests))
    assert all(map(share("1K", 700), digests)), "more than there is"
    some = sum(map(share("50%", 700), digests))
    assert 200 < some < 500
