"""Bare signatures of the service's RS256 key on one thread.

`python -m bench.signatures KEYS_DIR SECONDS` prints how many a second.
"""

import sys
import time
from pathlib import Path

from authsvc.adapters.keys.folder import KeyFolder
from authsvc.core.service import Algorithm

MESSAGE = bytes(700)
"""About as long as what a token's signature covers."""


def main() -> None:
    keys = KeyFolder(Path(sys.argv[1])).load().token_keys
    sign = next(key for key in keys if key.algorithm is Algorithm.RS256).sign
    sign(MESSAGE)
    count, started = 0, time.perf_counter()
    end = started + float(sys.argv[2])
    while time.perf_counter() < end:
        sign(MESSAGE)
        count += 1
    print(count / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
