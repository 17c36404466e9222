"""Reverting to the snapshot against forming the cluster cold, measured in the same run.

Baseline: forming cold, from blank disks to a logged-in initiator. Measured: from the order to
revert until the initiator has a new write acknowledged by the reverted cluster. Prints seconds
and the ratio; needs real VMs, takes about 6 minutes under emulation.
"""

from __future__ import annotations

import argparse
import statistics
import time

from harness.cluster.config import load_config
from harness.cluster.formed import bring_up
from harness.cluster.render import lun_link
from harness.lab.gc import collect_garbage
from harness.lab.image import ImageOptions, ensure_image
from harness.lab.lab import Lab
from harness.lab.paths import default_cache
from harness.session import RunOptions, choose_accelerator
from harness.timing import PROFILES


def main() -> None:
    """Form once, revert several times, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reverts", type=int, default=5)
    arguments = parser.parse_args()
    cache = default_cache()
    collect_garbage(cache)
    image = ensure_image(cache, ImageOptions())
    accelerator = choose_accelerator(RunOptions(cache=cache), image)
    config = load_config(None, PROFILES[accelerator])
    lab = Lab.create(cache)
    try:
        formed = bring_up(lab, image, config, accelerator=accelerator, fresh=True)
        disk = lun_link(lab.topology, "lun1")
        seconds = []
        for _ in range(arguments.reverts):
            started = time.monotonic()
            lab.revert()
            lab.initiator.guest.run(
                f"dd if=/dev/urandom of={disk} bs=4k count=1 oflag=direct status=none"
            )
            seconds.append(time.monotonic() - started)
    finally:
        lab.destroy()
    median = statistics.median(seconds)
    print(f"accelerator                         {accelerator}")
    print(f"forming cold (baseline)             {formed.seconds:8.1f} s")
    print(f"revert to first acknowledged write  {median:8.1f} s  (median of {len(seconds)})")
    print("each                                " + " ".join(f"{s:.1f}" for s in seconds))
    print(f"ratio                               {formed.seconds / median:8.1f} ×")


if __name__ == "__main__":
    main()
