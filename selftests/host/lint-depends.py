# SPDX-License-Identifier: GPL-2.0-only
#
# lint-depends.py: for each file named on stdin, "sum <tab> file": a sum of all files that a tool sees with
# it, because it includes them, or says "shellcheck source=" of them, or they do. Of several files with
# the name that is given, all count. To be run at the top of the tree.

import hashlib
import pathlib
import re
import sys

named = re.compile(rb'^[ \t]*#[ \t]*(?:include[ \t]*[<"]|shellcheck source=)([^">\s]+)', re.M)
files = [name for name in sys.stdin.read().split("\n") if name]
content = {name: pathlib.Path(name).read_bytes() for name in files}
sums = {name: hashlib.sha256(content[name]).hexdigest() for name in files}
called = {}
for name in files:
    called.setdefault(name.rsplit("/", 1)[-1], []).append(name)
edges = {name: [other for m in named.findall(content[name])
                for other in called.get(m.decode(errors="replace").rsplit("/", 1)[-1], [])]
         for name in files}

for name in files:
    seen, todo = {name}, [name]
    while todo:
        for other in edges[todo.pop()]:
            if other not in seen:
                seen.add(other)
                todo.append(other)
    text = "\n".join(f"{other} {sums[other]}" for other in sorted(seen))
    print(hashlib.sha256(text.encode()).hexdigest(), name, sep="\t")
