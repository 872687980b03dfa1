"""drkit.toml: what every bad input is told; whole sentences."""

from __future__ import annotations

import pytest

from drkit.config import BucketBlobs, parse_config
from drkit.errors import ConfigError
from tests.unit.config.test_config import LEAST, REPOSITORY, SITE

NO_DURATION = 'a duration looks like "45s", "30m", "24h", "7d" or "2w"'
SEE_MANUAL = "see docs/configuration.md for its type and an example"

# (what is in the file, the error's sentence, its hint)
BAD = [
    # Misspelt and unknown keys
    (
        LEAST + "[retention]\nkeep_dayly = 7",
        'unknown key "keep_dayly" in [retention]',
        'did you mean "keep_daily"?',
    ),
    (
        LEAST + '[[database]]\nnam = "registry"\ndsn = "host=db"',
        'unknown key "nam" in [[database]] number 1',
        'did you mean "name"?',
    ),
    (
        LEAST + REPOSITORY.replace("password_file", "pasword_file"),
        'unknown key "pasword_file" in [[repository]] number 2',
        'did you mean "password_file"?',
    ),
    (
        SITE.replace("site", "sites") + REPOSITORY,
        'unknown key "sites" at the top level',
        'did you mean "site"?',
    ),
    (LEAST + "[databases]", 'unknown key "databases" at the top level', 'did you mean "database"?'),
    (
        LEAST + "[drill]\nxyz = 1",
        'unknown key "xyz" in [drill]',
        "known keys are: directory, user, database_image, signing_key, registry_program, harbor,"
        " harbor_version, core, jobservice, harbor_timeout",
    ),
    (
        SITE + "[site.sub]\nx = 1\n" + REPOSITORY,
        'unknown key "sub" in [site]',
        "known keys are: name, state, lock_wait, dropped",
    ),
    # Missing keys
    (REPOSITORY, "there is no [site]", "every site needs one; `drkit init` writes it"),
    (SITE, "there is no [[repository]]", "every site needs one; `drkit init` writes it"),
    ("repository = []\n" + SITE, '"repository" at the top level is empty', "give at least one"),
    ("[site]\n" + REPOSITORY, '"name" is missing in [site]', "it has no default; see docs/configuration.md"),
    (
        LEAST + '[[database]]\nname = "registry"',
        '"dsn" is missing in [[database]] number 1',
        'every database needs it, or container = "harbor-db"; see docs/configuration.md',
    ),
    (
        LEAST + "[metrics]",
        '"textfile" is missing in [metrics]',
        "it has no default; see docs/configuration.md",
    ),
    # Wrong types
    (
        LEAST + '[retention]\nkeep_daily = "7"',
        '"keep_daily" in [retention] is wrong: input should be a valid integer',
        SEE_MANUAL,
    ),
    (
        LEAST + "[retention]\nkeep_daily = true",
        '"keep_daily" in [retention] is wrong: input should be a valid integer',
        SEE_MANUAL,
    ),
    (
        LEAST + "[retention]\nkeep_daily = -1",
        '"keep_daily" in [retention] is wrong: input should be greater than or equal to 0',
        SEE_MANUAL,
    ),
    (
        LEAST + '[notify]\nurls = "ntfy://alerts"',
        '"urls" in [notify] is wrong: input should be a valid array',
        SEE_MANUAL,
    ),
    (
        LEAST + "[notify]\nurls = [1]",
        '"urls" in [notify] is wrong: input should be a valid string',
        SEE_MANUAL,
    ),
    ("blobs = 3\n" + LEAST, '"blobs" at the top level is wrong: input should be an object', SEE_MANUAL),
    (
        'repository = ["/backup"]\n' + SITE,
        '"repository" at the top level is wrong: input should be an object',
        SEE_MANUAL,
    ),
    (
        LEAST + '[blobs]\npath = "/data/registry"\nkind = "tape"',
        '"kind" in [blobs] is wrong',
        'it is "filesystem" or "oci" or "s3"',
    ),
    # Values
    (
        LEAST + '[blobs]\npath = "data/registry"',
        '"path" in [blobs] is wrong',
        "the path must be absolute: a timer runs in another directory than you",
    ),
    (
        LEAST + '[secrets]\npaths = ["/etc/ssl", "harbor.yml"]',
        '"paths" in [secrets] is wrong',
        "the path must be absolute: a timer runs in another directory than you",
    ),
    (LEAST + '[objectives]\nrpo = "soon"', '"rpo" in [objectives] is wrong', NO_DURATION),
    (
        LEAST + '[objectives]\nrpo = "0h"',
        '"rpo" in [objectives] is wrong',
        "a duration is longer than zero",
    ),
    (
        LEAST + "[objectives]\nrpo = 24",
        '"rpo" in [objectives] is wrong',
        'a duration is a string such as "24h"',
    ),
    (
        LEAST.replace("registry.example.com", "my registry"),
        '"name" in [site] is wrong',
        "a name is made of letters, digits, dots, dashes and underscores",
    ),
    (
        LEAST.replace('"primary"', '"../primary"'),
        '"name" in [[repository]] number 1 is wrong',
        "a name is made of letters, digits, dots, dashes and underscores",
    ),
    (
        LEAST + '[schedule]\nbackup = "0 2 * *"',
        '"backup" in [schedule] is wrong',
        '"0 2 * *" is not a cron expression such as "0 2 * * *": it needs 5 fields and has 4',
    ),
    (
        LEAST + '[schedule]\nbackup = ""',
        '"backup" in [schedule] is wrong',
        '"" is not a cron expression such as "0 2 * * *": it needs 5 fields and has 0',
    ),
    # The whole
    (LEAST + REPOSITORY, 'two [[repository]] are named "primary"', "give each a name of its own"),
    (
        LEAST + 2 * '[[database]]\nname = "registry"\ndsn = "host=db"\n',
        'two [[database]] are named "registry"',
        "give each a name of its own",
    ),
    (
        LEAST + '[drill]\njobservice = "/opt/harbor/harbor_jobservice"',
        "[drill] names jobservice but no core",
        "jobservice is started beside a core that is a program as well: name that as core",
    ),
    (
        LEAST + '[secrets]\npaths = ["/etc/ssl"]',
        "[secrets] names paths but no recipients",
        "give at least one age recipient (age1...), or nobody could open the bundle",
    ),
]


@pytest.mark.parametrize(("text", "sentence", "hint"), BAD, ids=[sentence for _, sentence, _ in BAD])
def test_what_a_bad_file_is_told(text: str, sentence: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "drkit.toml")
    assert caught.value.message.removeprefix("drkit.toml: ") == sentence
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "dsn",
    [
        "host=db password=hunter2",
        "host=db password = 'hunter 2'",
        "host=db sslkey=/k sslpassword=hunter2",
        "postgresql://postgres:hunter2@db/registry",
        "postgresql://db/registry?password=hunter2",
    ],
)
def test_a_password_in_a_connection_string(dsn: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f'{LEAST}[[database]]\nname = "registry"\ndsn = "{dsn}"', "drkit.toml")
    assert caught.value.message == 'drkit.toml: "dsn" in [[database]] number 1 is wrong'
    assert caught.value.hint == "put the password into a file, and name that as password_file"
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize("dsn", ["host=db user=postgres", "postgresql://postgres@db:5432/registry", ""])
def test_connection_strings_without_one(dsn: str) -> None:
    config = parse_config(f'{LEAST}[[database]]\nname = "registry"\ndsn = "{dsn}"', "drkit.toml")
    assert config.databases[0].dsn == dsn


@pytest.mark.parametrize(
    "url", ["rest:https://me:hunter2@backup.example.com/", "s3:https://KEY:hunter2@s3.example.com/bucket"]
)
def test_credentials_in_an_address(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(LEAST.replace("/backup/drkit", url), "drkit.toml")
    assert caught.value.message == 'drkit.toml: "url" in [[repository]] number 1 is wrong'
    assert caught.value.hint == (
        "put the credentials into a file of KEY=value lines, and name that as credentials_file"
    )
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "sftp:backup@host.example.com:/srv/drkit",
        "sftp://backup@host.example.com:2222//srv/drkit",
        "rest:https://backup.example.com:8000/",
        "rclone:remote:bucket",
    ],
)
def test_addresses_without_any(url: str) -> None:
    assert parse_config(LEAST.replace("/backup/drkit", url), "drkit.toml").primary.url == url


BUCKET = """
[site]
name = "r"
[[repository]]
name = "primary"
url = "/r"
password_file = "/p"
[blobs]
kind = "s3"
bucket = "harbor"
"""
VAULT = '[vault]\nbucket = "vault"\n'


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            BUCKET,
            "drkit.toml: [blobs] is a bucket, and there is no [vault]",
            "name the bucket that keeps them, in another account, region or provider, as [vault]",
        ),
        (
            BUCKET + '[vault]\nbucket = "harbor"\n',
            "drkit.toml: [vault] is the bucket that it protects, harbor",
            "use another bucket, best in another account, region or at another provider",
        ),
        (
            BUCKET + 'rooot = "x"\n' + VAULT,
            'drkit.toml: unknown key "rooot" in [blobs]',
            'did you mean "root"?',
        ),
        (
            BUCKET + 'endpoint = "s3.example.com"\n' + VAULT,
            'drkit.toml: "endpoint" in [blobs] is wrong',
            "it looks like https://registry.example.com, without user and password",
        ),
        (
            BUCKET.replace('"s3"', '"gcs"') + VAULT,
            'drkit.toml: "kind" in [blobs] is wrong',
            'it is "filesystem" or "oci" or "s3"',
        ),
        (
            BUCKET.replace('bucket = "harbor"', "") + VAULT,
            'drkit.toml: "bucket" is missing in [blobs]',
            "it has no default; see docs/configuration.md",
        ),
        (
            BUCKET + VAULT + 'lok = "none"\n',
            'drkit.toml: unknown key "lok" in [vault]',
            'did you mean "lock"?',
        ),
        (
            BUCKET + VAULT.replace('"vault"', '"s3://vault"'),
            'drkit.toml: "bucket" in [vault] is wrong',
            "it is the name alone, such as harbor-blobs; the service's address is endpoint",
        ),
    ],
)
def test_buckets(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "drkit.toml")
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_bucket_and_its_vault() -> None:
    found = parse_config(BUCKET + 'root = "/registry/"\n' + VAULT, "drkit.toml")
    assert isinstance(found.blobs, BucketBlobs)
    assert found.blobs.where == "s3://harbor/registry"
    assert found.vault is not None
    assert found.vault.lock == "governance"
