#!/usr/bin/env python3
"""Replaces strcpy(destination, source); by a copy that stops at the end of the destination, an array."""

import pathlib
import re
import sys

COPY = re.compile(r"\bstrcpy\(([^,;()]+), ([^,;()]+)\);")


def main(names: list[str]) -> int:
    found = 0
    for name in names:
        path = pathlib.Path(name)
        text, count = COPY.subn(r'snprintf(\1, sizeof(\1), "%s", \2);', path.read_text())
        if count:
            path.write_text(text)
            print(f"{name}: {count} bounded")
        found += count
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
