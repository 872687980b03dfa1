"""Images with one PostgreSQL major, made of the Debian packages of the suite that has it; nothing is pulled.

The machine's own major comes from what is installed here. For others the packages are fetched and extracted,
not configured: it takes half the time, and a server needs no more.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from testenv.processes import ServerError

# Which of Debian's suites has which major; they have one each.
SUITES = {13: "bullseye", 15: "bookworm", 17: "trixie", 18: "forky"}
USER_ID = 999  # as in Harbor's image

_HOOKS = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"
# What an image needs beside the server: a shell, and what scripts take for granted.
_BESIDE = ("dash", "coreutils", "base-files")
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/lib/*/libLLVM*")

# As Harbor's own: whoever is inside is trusted, everybody else needs the password.
_ENTRY = """\
#!/bin/sh
set -e
initdb --pgdata="$PGDATA" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --auth=trust --no-sync >&2
echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp \\
  -c password_encryption=scram-sha-256 -c fsync=off -c full_page_writes=off "$@"
"""
_FILES = {
    "etc/passwd": f"root:x:0:0::/root:/bin/sh\npostgres:x:{USER_ID}:{USER_ID}::/tmp:/bin/sh\n",
    "etc/group": f"root:x:0:\npostgres:x:{USER_ID}:\n",
    "entry": _ENTRY,
}


def archive(major: int, directory: Path) -> Path:
    """The file system of an image as a tar file, below `directory`, or as kept in $DRKIT_TESTENV_IMAGES."""
    kept = os.environ.get("DRKIT_TESTENV_IMAGES")
    place = Path(kept) if kept else directory
    found = place / f"postgres-{major}.tar"
    if not found.exists():
        place.mkdir(parents=True, exist_ok=True)
        partial = place / f"postgres-{major}.{os.getpid()}.tar"
        try:
            if Path(f"/usr/lib/postgresql/{major}/bin/initdb").exists():
                from_this_machine((f"postgresql-{major}", *_BESIDE), partial)
            else:
                _from_suite(major, partial)
            with tarfile.open(partial, "a") as tar:
                for name, text in _FILES.items():
                    add(tar, name, text.encode(), 0o755 if name == "entry" else 0o644)
            partial.rename(found)
        finally:
            partial.unlink(missing_ok=True)
    return found


def from_this_machine(wanted: Sequence[str], target: Path, more: Sequence[Path] = ()) -> None:
    """The files of packages as they are installed here, and of `more` directories: a matter of seconds."""
    needed = _run("apt-cache", "depends", "--recurse", "--installed", "--important", *wanted).splitlines()
    shown = _run("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n").splitlines()
    packages = sorted({f"installed {name}" for name in needed} & set(shown))
    packages = [line.removeprefix("installed ") for line in packages]
    listed = _run("dpkg-query", "--listfiles", *packages).splitlines()
    # Links that merge /bin into /usr/bin belong to no package, and packages know their files by either name.
    links = [path for path in ("/bin", "/sbin", "/lib", "/lib64") if Path(path).is_symlink()]
    names = [Path(path).parent.resolve() / Path(path).name for path in listed if path.startswith("/")]
    real = {str(path) for path in (*names, *map(Path.resolve, map(Path, links))) if os.path.lexists(path)}
    real |= {str(path) for directory in more for path in (directory, *directory.rglob("*"))}
    there = [*links, *sorted(real - {"/", *links})]
    excluded = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
    command = ("tar", "--create", f"--file={target}", "--absolute-names", "--no-recursion", *excluded)
    _run(*command, "--null", "--files-from=-", given="\0".join(there))


def _from_suite(major: int, target: Path) -> None:
    suite, mirror = _source(major)
    _run(
        "mmdebstrap", "--variant=extract", "--quiet",
        f"--include={','.join((f'postgresql-{major}', *_BESIDE))}",
        f"--hook-dir={_HOOKS}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT),
        '--aptopt=APT::Install-Recommends "false"',
        # A mirror may stand still; what it has is signed all the same.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        suite, str(target), mirror,
    )  # fmt: skip


def _run(*words: str, given: str = "") -> str:
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ServerError(f"cannot build an image: {words[0]} says\n{done.stderr[-2000:]}")
    return done.stdout


def add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    """Add a file to an image."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    tar.addfile(member, io.BytesIO(data))


def _source(major: int) -> tuple[str, str]:
    """The suite that has this major, and the mirror that this machine uses for its own release."""
    if major not in SUITES:
        raise ServerError(f"knows no suite of Debian with PostgreSQL {major}")
    return SUITES[major], own_release()[1]


def own_release() -> tuple[str, str]:
    """The suite of this machine, and the mirror that it uses for that; raises ServerError."""
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    name, own = (release.get(key, "").strip('"') for key in ("ID", "VERSION_CODENAME"))
    if name != "debian":
        raise ServerError(f"knows Debian's packages alone, and this is {name}")
    columns = "$(LABEL) $(CODENAME) $(SUITE) $(REPO_URI)"
    said = _run("apt-get", "indextargets", "--format", columns, "Created-By: Packages")
    for line in said.splitlines():
        words = line.split()
        if len(words) == 4 and words[:2] == ["Debian", own] and "-" not in words[2]:
            return own, words[3]
    raise ServerError(f"finds no mirror of {own} in apt's sources: run apt-get update")
