"""Values of the configuration that have a form of their own, and what is told of a wrong one."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

from drkit.model import cron

_DURATION = re.compile(r"(\d{1,9})\s*(s|m|h|d|w)")
_LONGEST = timedelta(days=36_525)
_RATE = re.compile(r"(\d{1,9})\s*(KiB|MiB|GiB)/s")
_BYTES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_duration(text: str) -> timedelta:
    """`"90d"`, `"1h30m"` or `"45s"` as a timedelta.

    Raises ValueError for anything else, zero and more than a hundred years included.
    """
    pieces = _DURATION.findall(text)
    if not pieces or _DURATION.sub("", text).strip():
        raise ValueError('a duration looks like "45s", "30m", "24h", "7d" or "2w"')
    seconds = sum(int(number) * _UNITS[unit] for number, unit in pieces)
    if seconds == 0:
        raise ValueError("a duration is longer than zero")
    if seconds > _LONGEST.total_seconds():
        raise ValueError("a duration is at most a hundred years")
    return timedelta(seconds=seconds)


def _duration(value: object) -> timedelta:
    if not isinstance(value, str):
        raise ValueError('a duration is a string such as "24h"')
    return parse_duration(value)


def parse_rate(text: str) -> int:
    """`"10 MiB/s"` as bytes a second; raises ValueError for anything else, and less than 1 KiB/s."""
    found = _RATE.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise ValueError('a rate looks like "512 KiB/s" or "20 MiB/s"')
    return int(found[1]) * _BYTES[found[2]]


def _rate(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError('a rate is a string such as "20 MiB/s"')
    return parse_rate(value)


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("the path must be absolute: a timer runs in another directory than you")
    return path


def no_password_in_dsn(dsn: str) -> str:
    """The connection string, if it holds no password; else ValueError."""
    if re.search(r"password\s*=", dsn) or re.search(r"://[^/@\s]*:[^/@\s]*@", dsn):
        raise ValueError("put the password into a file, and name that as password_file")
    return dsn


def no_password_in_url(url: str) -> str:
    """The address, if it holds no password; else ValueError."""
    if re.search(r"://[^/@\s]*:[^/@\s]+@", url):
        raise ValueError(
            "put the credentials into a file of KEY=value lines, and name that as credentials_file"
        )
    return url


def web_address(url: str) -> str:
    """The address, if it is one of a web service, without credentials; else ValueError."""
    if not re.fullmatch(r"https?://[^/@\s?#]+(?:/[^@\s?#]*)?", url):
        raise ValueError("it looks like https://registry.example.com, without user and password")
    return url


_LOCAL_HOST = re.compile(r"127(?:\.\d{1,3}){3}|localhost|\[::1\]")


def cluster_address(address: str) -> str:
    """The address of Dask's scheduler; ValueError for one that is none, or is reached without TLS.

    Whoever can speak to a scheduler can let its workers do anything.
    """
    found = re.fullmatch(r"(tls|tcp)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})", address)
    if found is None or not 1 <= int(found[3]) <= 65_535:
        raise ValueError("it looks like tls://scheduler.example.com:8786")
    if found[1] == "tcp" and not _LOCAL_HOST.fullmatch(found[2]):
        raise ValueError("without TLS only a scheduler on this machine is used: tls://HOST:PORT")
    return address


def bucket_name(name: str) -> str:
    """The name, if a bucket may have it; else ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}", name):
        raise ValueError("it is the name alone, such as harbor-blobs; the service's address is endpoint")
    return name


def key_prefix(prefix: str) -> str:
    """A prefix of keys, without slashes at its ends."""
    return prefix.strip("/")


def command_line(text: str) -> str:
    """A command with its arguments, quoted as for a shell, which does not run it."""
    if not shlex.split(text):
        raise ValueError("name a program with its arguments")
    return text


def _plain_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError("a name is made of letters, digits, dots, dashes and underscores")
    return name


def _mail_address(text: str) -> str:
    """Nothing that sendmail could take for an option, or a header for its end."""
    if not re.fullmatch(r"[A-Za-z0-9_+][A-Za-z0-9._+=-]*(?:@[A-Za-z0-9][A-Za-z0-9.-]*)?", text):
        raise ValueError("an address looks like root or ops@example.com, without a name and brackets")
    return text


def _cron(expression: str) -> str:
    try:
        cron.parse(expression)
    except ValueError as error:
        raise ValueError(f'"{expression}" is not a cron expression such as "0 2 * * *": {error}') from None
    return expression


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(
            f'"{name}" is no time zone that this machine knows, such as "Europe/Berlin" or "UTC"'
        ) from None
    return name


# A Unix socket's path, or an address of this machine and a port.
Listen = Path | tuple[str, int]
_LOOPBACK = re.compile(r"(127(?:\.\d{1,3}){3}|localhost|\[::1\]):(\d{1,5})")


def listening(text: str) -> Listen:
    """`unix:/run/drkit/status.sock`, `127.0.0.1:9190` or `[::1]:9190` as what it means.

    Raises ValueError for anything else: whoever may see the page is for the proxy before it to say.
    """
    if text.startswith("unix:"):
        path = Path(text.removeprefix("unix:"))
        # The kernel's limit, without the zero at the end.
        if not path.is_absolute() or len(str(path).encode()) > 107:
            raise ValueError("the path of a socket is absolute, and no longer than 107 bytes")
        return path
    match = _LOOPBACK.fullmatch(text)
    if match is None or not 1 <= int(match[2]) <= 65_535:
        raise ValueError(
            'it is an address of this machine alone, such as "127.0.0.1:9190" or "unix:/run/drkit.sock";'
            " put a proxy before it for others"
        )
    return match[1].strip("[]").replace("localhost", "127.0.0.1"), int(match[2])


def _listen(text: str) -> str:
    listening(text)
    return text


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    # As it is read.
    PlainSerializer(lambda value: f"{round(value.total_seconds())}s", return_type=str, when_used="json"),
]
# Bytes a second.
Rate = Annotated[int, BeforeValidator(_rate)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Name = Annotated[str, AfterValidator(_plain_name)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
CronExpression = Annotated[str, AfterValidator(_cron)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
ListenAddress = Annotated[str, AfterValidator(_listen)]
