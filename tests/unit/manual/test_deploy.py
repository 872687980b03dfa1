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


def test_the_socket_of_the_status_page_is_where_the_host_reaches_it() -> None:
    listen = re.findall(r'listen = "unix:([^"]+)"', DOCS["container"].text)
    assert len(listen) == 1
    writable = [v.split(":")[1] for v in COMPOSE["services"]["drkit"]["volumes"] if not v.endswith(":ro")]
    assert any(listen[0].startswith(f"{volume}/") for volume in writable)
    assert f"curl --unix-socket {listen[0]} " in DOCS["container"].text


def test_init_in_a_container_has_the_volumes_of_the_compose_file() -> None:
    named = re.findall(r"--volume (\S+)", DOCS["container"].text)
    places = {volume.removesuffix(":ro") for volume in COMPOSE["services"]["drkit"]["volumes"]}
    assert {volume.removesuffix(":ro") for volume in named} == places
    # What is protected is not writable for init either; what it writes is.
    assert {volume.split(":")[1] for volume in named if volume.endswith(":ro")} == {
        "/data",
        "/opt/harbor/harbor.yml",
    }
    assert COMPOSE["networks"]["harbor"]["name"] in DOCS["container"].text
