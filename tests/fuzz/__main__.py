"""Coverage-guided fuzzing of everything that reads foreign bytes: `python -m tests.fuzz [--runs 20000] [TARGET …]`.

Each target runs in a process of its own, guided by the coverage of our Python code (atheris, the extra `fuzz`). Prints
a table and one line of JSON; exit status 1 when anything but an error of ours came out, or the process died. The input
that did it stays in `.fuzz/TARGET/`, together with the corpus, from which the next run goes on.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

#: Memory of one target's process and seconds of one input, beyond which it counts as crashed.
_LIMITS = ("-rss_limit_mb=4096", "-timeout=60")
_NAMES = ("footer", "shard", "output", "quarantine", "record", "artefact", "description", "config")


def main() -> int:
    """Run the targets one after the other, or be the process of one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", choices=[*_NAMES, []], metavar="TARGET", help=", ".join(_NAMES))
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        fuzz(given.targets[0], given.runs, given.seed)
    results = [_outside(name, given.runs, given.seed) for name in given.targets or _NAMES]
    print(f"{'target':<12} {'runs':>9} {'crashes':>8} {'seconds':>8}")
    for result in results:
        print("{target:<12} {runs:>9,} {crashes:>8} {seconds:>8.1f}".format(**result))
    print(f"{'all':<12} {sum(r['runs'] for r in results):>9,} {sum(r['crashes'] for r in results):>8}")
    print(json.dumps(results))
    return 1 if any(result["crashes"] or not result["runs"] for result in results) else 0


def _outside(name: str, runs: int, seed: int) -> dict[str, Any]:
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz", "--inside", "--runs", str(runs), "--seed", str(seed), name]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    counted = re.findall(r"^(?:Done|#)\s?(\d+)", done.stderr, re.MULTILINE)
    if done.returncode:
        sys.stderr.write(done.stderr[-3000:])
    return {
        "target": name,
        "runs": int(counted[-1]) if counted else 0,
        "crashes": int(done.returncode != 0),
        "seconds": round(time.monotonic() - began, 1),
    }


def fuzz(name: str, runs: int, seed: int) -> None:
    """Fuzz one target in this process; does not return."""
    import atheris

    with atheris.instrument_imports(include=["jobs", "adaptor"]):
        from tests.fuzz.targets import Targets
    place = Path(".fuzz") / name
    corpus = place / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        targets = Targets(Path(folder))
        for number, content in enumerate(targets.seeds(name)):
            (corpus / f"seed-{number}").write_bytes(content)
        limits = [*_LIMITS, f"-runs={runs}", f"-seed={seed}", "-max_len=65536", f"-artifact_prefix={place}/"]
        atheris.Setup([sys.argv[0], *limits, str(corpus)], lambda content: targets.run(name, content))
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
