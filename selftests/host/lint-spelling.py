#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Words of documents that aspell doesn't know: file and word, a line each.

lint-spelling.py words file...    words: those that the project has besides, a line each

Code isn't looked at: literal blocks and inline literals of reStructuredText and Markdown, and in
manual pages what is no English word by its form, such as a name with an underscore.
"""
import re
import subprocess
import sys

# A word by itself: no part of a path, an address, an option, a call or a name.
WORD = re.compile(r"(?<![\w./=@$%&<:#~-])[A-Za-z][a-z]+(?:'[a-z]+)?(?![\w/=(_@~-]|[.:]\w|'\w)")


def without_blocks(text):
    """reStructuredText without what is indented behind "::"."""
    kept, indent = [], None
    for line in text.split("\n"):
        here = len(line) - len(line.lstrip())
        if indent is not None and (not line.strip() or here > indent):
            continue
        indent = here if line.rstrip().endswith("::") else None
        kept.append(line)
    return "\n".join(kept)


def prose(path):
    """What of a file is English."""
    if re.search(r"\.[1-8]$", path):
        text = subprocess.run(["mandoc", "-T", "utf8", path], capture_output=True, text=True, check=False).stdout
        text = re.sub(".\b", "", text)
        # What is declared there, and who wrote it.
        text = re.sub(r"(?ms)^SYNOPSIS\n.*?(?=^[A-Z])", "", text)
        return re.sub(r"(?m)^ {10,}.*$|\S+\([1-8]\)|“[^”]*”|‘[^’]*’", " ", text.replace("-\n", "\n"))
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if path.endswith(".md"):
        return re.sub(r"(?m)^    .*$|`[^`]*`|\]\([^)]*\)", " ", text)
    text = re.sub(r"(?s)``.*?``|\S+\([1-8]\)|:[a-z]+:`[^`]*`", " ", without_blocks(text))
    return re.sub(r"<[^>]*>`_", " ", text)


def main():
    """Ask once for all words of all files."""
    with open(sys.argv[1], encoding="utf-8") as file:
        own = {line.strip() for line in file if not line.startswith("#")}
    found = [(path, word) for path in sys.argv[2:] for word in sorted(set(WORD.findall(prose(path))))]
    unknown = set(subprocess.run(["aspell", "list", "--lang=en", "--encoding=utf-8"],
                                 input="\n".join(sorted({word for _, word in found})),
                                 capture_output=True, text=True, check=True).stdout.split())
    used = set()
    for path, word in found:
        if word in unknown:
            base = re.sub(r"'s?$", "", word)
            used |= {word, base} & own
            if word not in own and base not in own:
                print(f"{path}: {word}")
    for word in sorted(own - used - {""}):
        print(f"{sys.argv[1]}: {word} isn't needed")


if __name__ == "__main__":
    main()
