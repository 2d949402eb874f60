#!/usr/bin/env python3
"""What a campaign loses: crashes by kill -9, bugs by merging duplicates.

usage: bench/fuzz/losses.py FF [KILLS [SECONDS]]

The target is examples/fuzz_target, with its three bugs. ff is killed KILLS times (20) at random moments of one campaign, and goes on: of the
crashes that were seen at any time, how many the result has not, and how much of the campaign's own time was lost at most. Then a campaign
of SECONDS (30) that nobody disturbs: how many of the bugs it reports, and how many findings are too many. Needs clang-14."""
import os
import pathlib
import random
import sys

os.environ["FF_EXE"] = str(pathlib.Path(sys.argv[1]).resolve())
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "real"))
import fuzzing  # noqa: E402

KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
SECONDS = int(sys.argv[3]) if len(sys.argv) > 3 else 30


def main():
    seed = int(os.environ.get("FF_SEED") or random.SystemRandom().randrange(1000000))
    random.seed(seed)
    with fuzzing.Lab() as lab:
        seen, gone, most, _ = fuzzing.kills(lab, KILLS)
        print(f"kill -9 at {KILLS} random moments (seed {seed}): crashes lost: {len(gone)} of {len(seen)}; work lost: at most {most:.1f} s",
              flush=True)
    with fuzzing.Lab() as lab:
        doc = fuzzing.document(fuzzing.run(lab, fuzzing.EXAMPLE, f"duration={SECONDS}s", timeout=SECONDS + 300))
        found, more = fuzzing.distinct(doc)
        crashes = doc["result"]["summary"]["crashes"]
        print(f"distinct bugs reported of {len(fuzzing.BUGS)} known: {len(found)}, and {more} too many; of {crashes} crashes")


main()
