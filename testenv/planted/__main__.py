"""The command line behind testenv/faults: faults, sound points, and what drills say of them."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NoReturn

import testenv
from testenv import processes
from testenv.planted import files, stand, trial

if TYPE_CHECKING:
    from testenv.planted.stand import Stand

# Sound points are of so many kinds at most: each takes a backup.
_MOST_POINTS = 8


def main(arguments: list[str] | None = None) -> int:
    """Run a campaign; 0 if every drill told the truth, 1 if one did not."""
    parser = argparse.ArgumentParser(prog="testenv/faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--sound", type=int, default=5, help="drills of sound points (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what is chosen (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="trials side by side (default: %(default)s)")
    parser.add_argument("--log", type=Path, help="append a line of JSON for each trial")
    parser.add_argument("--vault", action="store_true", help="images in a bucket, and faults in their vault")
    parser.add_argument("--total", action="store_true", help="only add up what --log holds")
    options = parser.parse_args(arguments)
    if options.total:
        return _tell([json.loads(line) for line in options.log.read_text().splitlines()])
    before = signal.signal(signal.SIGTERM, _interrupt)
    top = Path(tempfile.mkdtemp(prefix="dF-", dir="/var/tmp"))
    # PostgreSQL runs as another user where we are root: it may pass through.
    top.chmod(0o711)
    try:
        with stand.made(top, vault=options.vault) as made:
            return _tell(_run(made, options))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except processes.ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGTERM, before)
        shutil.rmtree(top)


def _run(made: Stand, options: argparse.Namespace) -> list[dict[str, object]]:
    random = Random(options.seed)
    weights = trial.KINDS_WITH_VAULT if options.vault else trial.KINDS
    kinds = random.choices(list(weights), list(weights.values()), k=options.faults)
    documents = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for phase in (kinds, [trial.SOUND] * options.sound):
            if phase and phase[0] == trial.SOUND:
                _vary(made, min(_MOST_POINTS, options.sound), random)
            seeds = [random.randrange(1 << 30) for _ in phase]
            tops = [made.top / f"{phase[0][0]}{number}" for number in range(len(phase))]
            for result in pool.map(lambda *words: _trial(made, *words), tops, phase, seeds):
                document = {"seed": options.seed, **result}
                documents.append(document)
                print(_line(document), file=sys.stderr, flush=True)
                if options.log:
                    with options.log.open("a") as log:
                        log.write(json.dumps(document) + "\n")
    return documents


def _vary(made: Stand, count: int, random: Random) -> None:
    """So many further points, each of another state of the registry."""
    for number in range(count):
        testenv.grow(made.site, random.choice((0.02, 0.1)), random.randrange(1 << 30))
        if random.random() < 0.5:
            digest = testenv.push_image(
                made.site, f"varied-{number}", "app", random.choice((None, "v1", "V.2"))
            )
            if random.random() < 0.5:
                testenv.sign_image(made.site, f"varied-{number}", "app", digest)
        made.take()


def _trial(made: Stand, top: Path, kind: str, seed: int) -> dict[str, object]:
    try:
        return trial.run(made, top, kind, Random(seed)).document()
    except Exception:  # noqa: BLE001 - one that could not be made must be seen, and must not end the others
        return {"verdict": "could not be tried", "kind": kind, "fault": traceback.format_exc()}


def _line(document: dict[str, object]) -> str:
    words = [document.get(name) for name in ("verdict", "kind", "fault", "target", "lacking", "said")]
    return " | ".join(str(word)[-400:] for word in words if word)


def _tell(documents: list[dict[str, object]]) -> int:
    """The table, and every trial in which a drill did not tell the truth."""
    good = ("sound", "caught", "harmless", "stricter")
    for kind in dict.fromkeys([*trial.KINDS, *trial.KINDS_WITH_VAULT, trial.SOUND]):
        counts = Counter(str(each["verdict"]) for each in documents if each["kind"] == kind)
        if counts:
            print(f"{kind:10} {sum(counts.values()):5}: {files.total(counts)}")
    bad = [each for each in documents if each["verdict"] not in good]
    faults = sum(each["kind"] != trial.SOUND for each in documents)
    print(f"{faults} faults, {len(documents) - faults} sound drills, {len(bad)} disagreements")
    for each in bad:
        print(json.dumps(each))
    return 1 if bad or not documents else 0


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
