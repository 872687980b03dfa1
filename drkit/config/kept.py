"""A copy of a configuration that was good, for the time in which its file is not: who reads it sees the file.

The first line says where the rest stood.
"""

from __future__ import annotations

import json
from pathlib import Path

from drkit.config.site import ConfigurationFile
from drkit.files import replace_file

_MARK = "# drkit keeps what stood in "


def keep(file: ConfigurationFile, path: Path) -> None:
    """Write the copy; raises OSError."""
    about = {"path": str(file.path), "mode": file.mode, "uid": file.uid, "gid": file.gid}
    replace_file(path, f"{_MARK}{json.dumps(about)}\n{file.text}")


def original(copy: ConfigurationFile) -> ConfigurationFile:
    """The file that this is a copy of; itself, where it is none."""
    first, _, rest = copy.text.partition("\n")
    if not first.startswith(_MARK):
        return copy
    try:
        about = json.loads(first.removeprefix(_MARK))
        return ConfigurationFile(Path(about["path"]), rest, about["mode"], about["uid"], about["gid"])
    except (ValueError, TypeError, KeyError):
        return copy
