"""ZFS and LVM: commands as values, and answers as zfs 2.1 and lvm 2.03 gave them in a virtual machine.

Neither runs where these tests do; tests/vm runs both.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from drkit.errors import CannotFreeze, ToolFailed
from drkit.volumes import lvm, standing, zfs
from drkit.volumes.choice import from_record, to_record
from drkit.volumes.lvm import Lvm, Volume
from drkit.volumes.standing import Standing
from drkit.volumes.zfs import Child, Zfs
from drkit.volumes.zvol import Zvol

NAME = "drkit-registry.example.com-20261124-020000-4f2a9c"
TOP, PATH = Path("/var/lib/drkit/volumes/top"), Path("/data/registry")
GIB = 1 << 30


def test_a_zfs_snapshot_is_marked_and_mounted_read_only() -> None:
    volume = Zfs(NAME, "tank/data", "17", "registry")
    assert zfs.snapshot_words([f"tank/data@{NAME}"], NAME) == (
        "zfs", "snapshot", "-o", f"drkit:name={NAME}", f"tank/data@{NAME}",
    )  # fmt: skip
    assert volume.mounts(PATH, TOP) == (
        ("mount", "-t", "zfs", "-o", "ro", f"tank/data@{NAME}", str(TOP)),
        ("mount", "--bind", f"{TOP}/registry", str(PATH)),
    )


def test_the_top_of_a_snapshot_of_zfs_has_a_number_of_its_own() -> None:
    """OpenZFS 2.1: the top of a dataset is 34, that of its snapshot another; below they are alike."""
    assert not Zfs(NAME, "tank/data", "17", ".").same_top
    assert Zfs(NAME, "tank/data", "17", "registry").same_top


def test_children_are_mounted_where_they_are_parents_first() -> None:
    children = (Child("tank/blobs", "18", "docker/blobs"), Child("tank/x", "19", "docker/blobs/sha256"))
    volume = Zfs(NAME, "tank/data", "17", "registry", children)
    assert volume.snapshots == {
        "tank/data": ("17", f"tank/data@{NAME}"),
        "tank/blobs": ("18", f"tank/blobs@{NAME}"),
        "tank/x": ("19", f"tank/x@{NAME}"),
    }
    assert volume.mounts(PATH, TOP)[2:] == (
        ("mount", "-t", "zfs", "-o", "ro", f"tank/blobs@{NAME}", f"{PATH}/docker/blobs"),
        ("mount", "-t", "zfs", "-o", "ro", f"tank/x@{NAME}", f"{PATH}/docker/blobs/sha256"),
    )


# util-linux 2.38, of a registry's directory with two datasets in one another, the inner one from elsewhere.
_DATASETS = {
    "/srv": "tank",
    "/srv/data": "tank/data",
    "/srv/data/registry": "tank/data/registry",
    "/srv/data/registry/docker": "tank/data/registry/docker",
    "/srv/data/registry/docker/registry/v2": "tank/elsewhere",
}
_MOUNTS = [
    {"target": target, "source": dataset, "fsroot": "/", "fstype": "zfs", "maj:min": f"0:{number}"}
    for number, (target, dataset) in enumerate(_DATASETS.items(), 27)
]


def test_datasets_in_one_another_as_findmnt_tells_of_them() -> None:
    def told(*mounts: dict[str, str]) -> str:
        return json.dumps({"filesystems": mounts})

    found = standing.parse(told(_MOUNTS[2]), told(*_MOUNTS), Path("/srv/data/registry"))
    assert (found.source, found.inside, found.device) == ("tank/data/registry", PurePosixPath("/"), "0:29")
    assert [(mount.source, mount.target) for mount in zfs.children(found)] == [
        ("tank/data/registry/docker", "/srv/data/registry/docker"),
        ("tank/elsewhere", "/srv/data/registry/docker/registry/v2"),
    ]
    assert not lvm.is_logical(found.device)


def test_a_pools_datasets_and_their_snapshots_as_zfs_lists_them() -> None:
    text = (
        "tank\t3475189812087251855\ntank/data\t1012923545084955912\n"
        "tank/data/registry/disk\t9118059533376282742\n"
    )
    assert zfs.parse_list(text)["tank/data/registry/disk"] == "9118059533376282742"
    assert zfs.parse_list("tank/data@me\tme\ntank/elsewhere@me\tme\n") == {
        "tank/data@me": "me",
        "tank/elsewhere@me": "me",
    }


def test_a_zvol_is_cloned_beside_itself() -> None:
    volume = Zvol(NAME, "tank/vms/data", "17", "ext4", str(PATH), "registry")
    assert (volume.snapshot, volume.clone) == (f"tank/vms/data@{NAME}", f"tank/vms/{NAME}")
    assert volume.clone_words() == (
        "zfs", "clone", "-o", f"drkit:name={NAME}", "-o", "volmode=dev", "-o", "readonly=off",
        f"tank/vms/data@{NAME}", f"tank/vms/{NAME}",
    )  # fmt: skip


def test_zfs_tells_which_snapshots_are_marked() -> None:
    assert zfs.list_words(["tank/data", "tank/x"])[-3:] == ("name,drkit:name", "tank/data", "tank/x")
    text = f"tank/data@daily-2026-11-23\t-\ntank/data@{NAME}\t{NAME}\n"
    assert zfs.parse_list(text) == {"tank/data@daily-2026-11-23": "-", f"tank/data@{NAME}": NAME}
    assert zfs.parse_list("") == {}
    with pytest.raises(ToolFailed, match="cannot read ZFS's list"):
        zfs.parse_list("no datasets available")


def line(**more: str) -> dict[str, str]:
    return {
        "vg_name": "vg0",
        "lv_name": "data",
        "lv_uuid": "k9sDkK-aaaa",
        "lv_attr": "owi-aos---",
        "lv_size": str(100 * GIB),
        "pool_lv": "",
        "origin": "",
        "origin_uuid": "",
        "vg_free": str(50 * GIB),
        "lv_tags": "",
        "data_percent": "",
        "metadata_percent": "",
        **more,
    }


def report(*lines: dict[str, str]) -> str:
    return json.dumps({"report": [{"lv": list(lines)}], "log": []})


ORIGIN = Volume("vg0", "data", "k9sDkK-aaaa", "owi-aos---", 100 * GIB, "", "", 50 * GIB, ())
STANDING = Standing(PATH, "xfs", "/dev/mapper/vg0-data", PurePosixPath("/registry"))


def test_what_lvs_reports() -> None:
    snapshot = line(
        lv_name=NAME,
        lv_attr="swi-aos---",
        origin="data",
        origin_uuid="k9sDkK-aaaa",
        lv_tags=f"x,drkit_{NAME}",
    )
    origin, found = lvm.parse(report(line(), snapshot))
    assert origin == ORIGIN
    assert (found.name, found.origin_uuid, found.tags) == (NAME, "k9sDkK-aaaa", ("x", f"drkit_{NAME}"))
    assert not found.invalid
    for text in ("", "{}", '{"report": []}', report({"lv_name": "x"})):
        with pytest.raises(ToolFailed, match="cannot read what lvs says"):
            lvm.parse(text)


@pytest.mark.parametrize(
    ("attributes", "invalid"),
    [("swi-aos---", False), ("swi-I-s---", True), ("swi-S-s---", True), ("Vwi-aotz--", False), ("", True)],
)
def test_a_snapshot_that_filled_up_is_known_by_its_attributes(attributes: str, invalid: bool) -> None:
    assert replace(ORIGIN, attributes=attributes).invalid is invalid


def test_a_classic_snapshot_has_space_of_its_own() -> None:
    volume = lvm.plan(ORIGIN, STANDING, NAME)
    assert volume == Lvm(NAME, "vg0", "data", "k9sDkK-aaaa", 20 * GIB, "xfs", "registry")
    assert volume.create_words() == (
        "lvcreate", "--quiet", "--yes", "--snapshot", "--addtag", f"drkit_{NAME}",
        "--size", f"{20 * GIB}b", "--name", NAME, "vg0/data",
    )  # fmt: skip


@pytest.mark.parametrize(("free", "size"), [(5 * GIB, 5 * GIB), (50 * GIB, 20 * GIB), (64 << 20, 64 << 20)])
def test_it_takes_no_more_than_there_is(free: int, size: int) -> None:
    assert lvm.plan(replace(ORIGIN, free=free), STANDING, NAME).size == size


@pytest.mark.parametrize("extents", range(80, 90))
def test_a_size_is_a_whole_number_of_sectors(extents: int) -> None:
    """lvcreate says otherwise: "Size is not a multiple of 512"."""
    size = lvm.plan(replace(ORIGIN, size=extents * (4 << 20)), STANDING, NAME).size
    assert size % 512 == 0
    assert size >= 64 << 20


@pytest.mark.parametrize("free", [0, 4 << 20])
def test_without_space_there_is_none(free: int) -> None:
    with pytest.raises(CannotFreeze, match="the volume group vg0 has no space free for a snapshot"):
        lvm.plan(replace(ORIGIN, free=free), STANDING, NAME)


THIN = replace(ORIGIN, attributes="Vwi-aotz--", pool="pool0", free=0)
POOL = replace(ORIGIN, name="pool0", attributes="twi-aotz--", data_percent=99.9, metadata_percent=94.9)


def test_how_full_a_pool_is() -> None:
    (found,) = lvm.parse(report(line(data_percent="99.90", metadata_percent="12.34")))
    assert (found.data_percent, found.metadata_percent) == (99.9, 12.34)
    assert found.unused == pytest.approx(0.1 * GIB, rel=1e-3)


@pytest.mark.parametrize(("size", "data", "metadata"), [(60 << 30, 99.9, 10.0), (100 << 30, 10.0, 95.0)])
def test_of_a_full_pool_nothing_is_asked(size: int, data: float, metadata: float) -> None:
    pool = replace(POOL, size=size, data_percent=data, metadata_percent=metadata)
    with pytest.raises(CannotFreeze, match=r"the thin pool vg0/pool0 is full \(data \d+ %, metadata \d+ %\)"):
        lvm.plan(THIN, STANDING, NAME, pool)


def test_a_thin_snapshot_needs_little_space_but_has_to_be_activated() -> None:
    volume = lvm.plan(THIN, STANDING, NAME, POOL)
    assert volume.size == 0
    assert volume.create_words()[4:] == (
        "--addtag", f"drkit_{NAME}", "--setactivationskip", "n", "--activate", "y",
        "--name", NAME, "vg0/data",
    )  # fmt: skip


@pytest.mark.parametrize(("fstype", "options"), [("xfs", "ro,nouuid"), ("ext4", "ro")])
def test_xfs_has_to_be_told_that_its_uuid_is_there_twice(fstype: str, options: str) -> None:
    volume = lvm.plan(ORIGIN, replace(STANDING, fstype=fstype), NAME)
    assert volume.mounts(PATH, TOP) == (
        ("mount", "-t", fstype, "-o", options, f"/dev/vg0/{NAME}", str(TOP)),
        ("mount", "--bind", f"{TOP}/registry", str(PATH)),
    )


@pytest.mark.parametrize(("uuid", "logical"), [("LVM-abc", True), ("CRYPT-LUKS2-abc", False), (None, False)])
def test_a_logical_volume_is_known_by_the_device_mapper(
    tmp_path: Path, uuid: str | None, logical: bool
) -> None:
    if uuid:
        (tmp_path / "254:0/dm").mkdir(parents=True)
        (tmp_path / "254:0/dm/uuid").write_text(f"{uuid}\n")
    assert lvm.is_logical("254:0", tmp_path) is logical


def test_a_record_is_all_that_it_takes() -> None:
    child = Child("tank/blobs", "18", "docker/blobs")
    whole = Zfs(NAME, "tank/data", "17", "registry", (child,))
    zvol = Zvol(NAME, "tank/data", "17", "ext4", str(PATH), "registry")
    for volume in (whole, zvol, lvm.plan(ORIGIN, STANDING, NAME)):
        assert from_record(json.loads(json.dumps(to_record(volume)))) == volume
    future = {**to_record(whole), "more": ["tank/other"]}
    for record in ({"kind": "future", "name": "x"}, {"name": "x"}, {"kind": "zfs", "name": "x"}, future):
        with pytest.raises(ToolFailed, match="an unknown record of a volume snapshot"):
            from_record(record)
