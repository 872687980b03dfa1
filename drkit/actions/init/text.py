"""The configuration that `init` writes, as TOML."""

from __future__ import annotations

import json

from drkit import config
from drkit.actions.init.plan import DATABASE_PASSWORD, IDENTITY, RESTIC_PASSWORD, FurtherDatabase, Plan


def render(plan: Plan, recipient: str) -> str:
    """The configuration as TOML."""
    sections = [_TOP.format(site=_quoted(plan.site), state=_quoted(plan.state))]
    if plan.database:
        where = f"container = {_quoted(plan.container)}" if plan.container else f"dsn = {_quoted(plan.dsn)}"
        password = plan.directory / DATABASE_PASSWORD if plan.password is not None else None
        line = f"password_file = {_quoted(password)}\n" if password else ""
        sections.append(f'[[database]]\nname = "registry"\n{where}\n{line}')
    sections += [_further(plan, each) for each in plan.further]
    sections += [_blobs(plan)] if plan.blobs else []
    sections += [_section("vault", plan.vault)] if plan.vault else []
    sections += [_HARBOR.format(url=_quoted(plan.harbor_url))] if plan.harbor_url else []
    paths = "".join(f"    {_quoted(each.path)},    # {each.purpose}\n" for each in plan.secrets)
    cosign = f"cosign_password_file = {_quoted(plan.cosign_password)}\n" if plan.cosign_password else ""
    sections.append(
        f"[secrets]\npaths = [\n{paths}]\nrecipients = [\n    {_quoted(recipient)},\n]\n"
        f"identity_file = {_quoted(plan.directory / IDENTITY)}    # for drills alone\n{cosign}"
    )
    password_file = _quoted(plan.directory / RESTIC_PASSWORD)
    url = _quoted(plan.repository)
    sections.append(f'[[repository]]\nname = "primary"\nurl = {url}\npassword_file = {password_file}\n')
    sections.append(f"{_REST}\n{SCHEDULE if plan.database else _without_quick(SCHEDULE)}")
    return "\n".join(sections)


def _without_quick(schedule: str) -> str:
    """A quick drill picks its sample from Harbor's database."""
    return "".join(line for line in schedule.splitlines(True) if not line.startswith("drill_quick"))


def _further(plan: Plan, database: FurtherDatabase) -> str:
    container = f"container = {_quoted(database.container)}\n" if database.container else ""
    known = database.password is not None or plan.password is not None
    file = f"password_file = {_quoted(plan.directory / database.password_file)}\n" if known else ""
    name, dsn = _quoted(database.name), _quoted(database.dsn)
    return f"[[database]]\nname = {name}\n{container}dsn = {dsn}\n{file}"


def _blobs(plan: Plan) -> str:
    if isinstance(plan.blobs, config.BucketBlobs):
        return _section("blobs", plan.blobs)
    assert plan.blobs is not None
    return f'[blobs]\nkind = "{plan.blobs.kind}"\npath = {_quoted(plan.blobs.path)}\nvolume = "auto"\n'


def _section(name: str, said: config.S3) -> str:
    """What differs from the defaults; `kind` first, since it says what the rest means."""
    keys = {key: value for key in type(said).model_fields if (value := getattr(said, key)) is not None}
    default = {key: field.default for key, field in type(said).model_fields.items()}
    lines = [f"{key} = {_quoted(value)}\n" for key, value in keys.items() if value != default[key]]
    return f"[{name}]\n{''.join(sorted(lines, key=lambda line: not line.startswith('kind')))}"


def _quoted(value: object) -> str:
    """A TOML basic string; JSON's escapes are among TOML's."""
    return json.dumps(str(value), ensure_ascii=False)


# The API is for those who have no database here, or want read_only; its user is not known to harbor.yml.
_HARBOR = """\
[harbor]
wait_for_collection = "30m"    # a backup waits so long for a garbage collection to end
# url = {url}
# user = "robot$drkit"
# password_file = "/etc/drkit/harbor.password"
"""

_TOP = """\
# Written by `drkit init`. Secrets are never in this file, only the names of files that hold them.

[site]
name = {site}
state = {state}

[objectives]
rpo = "26h"                # the newest sealed recovery point may be this old
rto = "4h"                 # a drill must bring everything back in this
drill = "100d"             # the last passed full drill may be this old
"""

_REST = """\
[retention]
keep_last = 3
keep_daily = 7
keep_weekly = 5
keep_monthly = 12
"""

# Times that every day has once, wherever the clock is changed: in no zone between 04:00 and 21:00.
SCHEDULE = """\
[schedule]
backup = "17 4 * * *"
verify = "17 8 * * 6"
drill = "17 7 15 1,4,7,10 *"    # a full one each quarter
drill_quick = "17 7 * * 0"
expire = "17 6 * * *"
runbook = "17 9 1 * *"
jitter = "10m"
"""
