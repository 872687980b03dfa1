"""The files in deploy/ name what is there, and the manual shows what they need."""

from __future__ import annotations

import re

import yaml

from tests.unit.manual.pages import DOCS, TOP

CONTAINERFILE = (TOP / "deploy/Containerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((TOP / "deploy/compose.yaml").read_text(encoding="utf-8"))


def test_what_is_copied_into_the_image_is_there() -> None:
    copied = [
        word for line in re.findall(r"^COPY (.*)$", CONTAINERFILE, re.MULTILINE) for word in line.split()[:-1]
    ]
    assert {"pyproject.toml", "constraints.txt", "drkit", "runbooks"} <= set(copied)
    assert [word for word in copied if not (TOP / word).exists()] == []
    # The wheel takes them through this link.
    assert (TOP / "drkit/reports/templates/runbooks").resolve() == (TOP / "runbooks").resolve()


def test_the_compose_file_builds_that_image_and_keeps_the_state() -> None:
    service = COMPOSE["services"]["drkit"]
    assert (TOP / "deploy" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    volumes = {volume.split(":")[1]: volume.endswith(":ro") for volume in service["volumes"]}
    assert volumes["/var/lib/drkit"] is False
    assert volumes["/data"] is True, "what is protected is not writable"
    assert (service["init"], service["read_only"], service["cap_drop"]) == (True, True, ["ALL"])
    assert "docker.sock" not in str(service)
    assert "SYS_ADMIN" not in service["cap_add"]
    assert "/data" in DOCS["configuration"].text
