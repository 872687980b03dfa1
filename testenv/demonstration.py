"""drkit's main job on a throwaway registry: back up, lose everything, restore, prove. Behind testenv/demo."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from testenv import creation, demonstration_bucket, sizes, telling
from testenv import site as sites
from testenv.push import Pusher


def main() -> int:
    """Run the demonstration; everything that it made is gone when it ends, however it ends."""
    with tempfile.TemporaryDirectory(prefix="drkit-demo-", dir="/var/tmp") as name:
        top = Path(name)
        # PostgreSQL runs as another user where we are root: it may pass through.
        top.chmod(0o711)
        try:
            _demonstrate(top)
        except subprocess.CalledProcessError as error:
            print(
                f"\nThe demonstration ends here: {shlex.join(map(str, error.cmd))} failed.", file=sys.stderr
            )
            return 1
        finally:
            sites.destroy(top / "site")
            sites.destroy(top / "bucketed")
    print("Everything that this demonstration made has been removed.")
    return 0


def _demonstrate(top: Path) -> None:
    began = time.monotonic()
    telling.heading("A registry like Harbor's comes up: PostgreSQL, images, certificates, keys")
    site = creation.create(top / "site", sizes.SMALL)
    image = telling.any_image(site)
    print(f"It serves {site.registry_url}/{image.name}:{image.tag}\n           {image.digest}")

    telling.heading("1. drkit reads harbor.yml and writes a configuration that works")
    config = top / "drkit" / "drkit.toml"
    wanted = ("--harbor", site.harbor_yml, "--repository", top / "backup", "--state", top / "state")
    signing = ("--secret", site.cosign, "--cosign-password", site.cosign / "cosign.password")
    telling.drkit(config, "init", *wanted, *signing)

    telling.heading("2. Database, images and secrets become one recovery point")
    telling.drkit(config, "backup")

    telling.heading("3. Somebody deletes an image; it comes back into the registry, which goes on running")
    with Pusher(site.registry_url) as pusher:
        pusher.delete_manifest(image.name, image.digest)
    _say_whether_it_pulls(site, image)
    to = ("--to", site.registry_url)
    telling.drkit(config, "restore", "latest", "--image", f"{image.name}:{image.tag}", *to, "--yes")
    telling.must_pull(site.registry_url, image)

    telling.heading("4. Disaster: the database is dropped, the images and the keys are deleted")
    for what in ("database", "blobs", "secrets"):
        sites.lose(site, what)
        print(f"lost: {what}")
    _say_whether_it_pulls(site, image)

    telling.heading("5. Images can be pulled at once, straight from the recovery point")
    with telling.serving(config) as address:
        telling.must_pull(address, image)

    telling.heading("6. All of it comes back from the recovery point")
    telling.drkit(config, "restore", "latest", "--yes")
    # A registry that ran through the disaster remembers what it served.
    sites.stop(site)
    sites.start(site)
    telling.must_pull(site.registry_url, image)

    telling.heading("7. The drill proves it once more, in a sandbox, with a stopwatch and planted faults")
    telling.drkit(config, "drill", "--report", top / "report")
    telling.drkit(config, "status")

    demonstration_bucket.demonstrate(top)
    _summary(json.loads((top / "report" / "report.json").read_text()), time.monotonic() - began)


def _say_whether_it_pulls(site: sites.Site, image: telling.Image) -> None:
    there = telling.pull(site.registry_url, image) == image.digest
    print(f"{image.name}:{image.tag} can be pulled: {'yes' if there else 'no'}")


def _summary(report: dict[str, Any], seconds: float) -> None:
    outcomes = Counter(check["outcome"] for check in report["checks"])
    untried = outcomes["not_provable"]
    also = f" ({untried} had nothing to look at)," if untried else ","
    caught = sum(control["caught"] for control in report["controls"])
    telling.heading("What you have seen")
    print(f"""\
  A registry lost an image, and got it back while it ran.
  It lost its database, its images and its keys. An image was pulled from the recovery point itself,
  and then all three came back from it.
  Another one, whose images were in a bucket, got them back from a vault, in a bucket and in a directory.
  The drill restored the first one's point again into a throwaway environment:
    {outcomes["passed"]} of {outcomes.total()} checks on the restored data passed{also}
    {caught} of {len(report["controls"])} faults planted on purpose were caught,
    and recovery took {report["recovery_time_seconds"]:.1f} seconds.
  All this took {seconds:.0f} seconds.

  Next: `testenv/up` leaves such a registry running to play with; README.md says how to protect your own.
""")


if __name__ == "__main__":
    sys.exit(main())
