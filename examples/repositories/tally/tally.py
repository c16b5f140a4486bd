#!/usr/bin/env python3
"""Counts the words of its input, the most frequent first."""

import argparse
import collections
import re
import sys


def count_words(text: str, ignore_case: bool = False) -> list[tuple[str, int]]:
    """Words with how often they occur: the most frequent first, equal ones by the alphabet."""
    words = re.findall(r"\w+", text.lower() if ignore_case else text)
    counts = collections.Counter(words)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=argparse.FileType(), default=sys.stdin)
    parser.add_argument("-i", "--ignore-case", action="store_true", help="take words in lower case")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    for word, count in count_words(args.file.read(), args.ignore_case):
        print(f"{count:7} {word}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
