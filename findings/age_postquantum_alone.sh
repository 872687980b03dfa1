#!/usr/bin/env bash
# age 1.3.2: a post-quantum recipient (age1pq1...) cannot stand beside any other kind, and pyrage 1.4.0 reads no such
# identity, although it encrypts to post-quantum recipients of hardware keys (age1tagpq1...).
#
# So an escrow set of keys (an operator's, an offline one, an SSH key) moves to post-quantum keys all at once or not
# at all: `age -r age1pq1... -r age1...` refuses with "incompatible recipients". A recipient is 1,959 characters long,
# too long for one QR code beside other text. Debian 12's age takes it for one of a plugin's and looks for a program
# age-plugin-pq; pyrage's plugin module does the same.
#
# Needs Go and Python; takes a few seconds.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
export GOBIN=$work/bin GOPATH=$work/go GOCACHE=$work/build
go install filippo.io/age/cmd/age@v1.3.2 filippo.io/age/cmd/age-keygen@v1.3.2 2>/dev/null
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install pyrage==1.4.0
cd "$work"
bin/age-keygen -pq -o pq.key 2>/dev/null
bin/age-keygen -o classic.key 2>/dev/null
bin/age-keygen -y pq.key >pq.pub
bin/age-keygen -y classic.key >classic.pub
echo text >file

[ "$(tr -d '\n' <pq.pub | wc -c)" -eq 1959 ]
! bin/age -r "$(cat pq.pub)" -r "$(cat classic.pub)" -o both.age file 2>said
grep -q "incompatible recipients: can't mix post-quantum and classic recipients" said
bin/age -r "$(cat pq.pub)" -o alone.age file
[ "$(bin/age -d -i pq.key alone.age)" = text ]

venv/bin/python - <<'PYTHON'
import pathlib, pyrage
public = pathlib.Path("pq.pub").read_text().strip()
secret = next(line for line in pathlib.Path("pq.key").read_text().splitlines() if line.startswith("AGE-"))
for kind, text, error in (
    (pyrage.x25519.Recipient, public, pyrage.RecipientError),
    (pyrage.x25519.Identity, secret, pyrage.IdentityError),
):
    try:
        kind.from_str(text)
    except error as caught:
        assert str(caught) == "incorrect HRP", caught
    else:
        raise SystemExit(f"{kind} takes it")
assert pyrage.plugin.Recipient.from_str(public).plugin() == "pq"
assert hasattr(pyrage.tagpq, "Recipient") and not hasattr(pyrage.tagpq, "Identity")
PYTHON
echo "as recorded: post-quantum recipients stand alone, and pyrage has no identity for them"
