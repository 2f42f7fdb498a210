# SPDX-License-Identifier: GPL-2.0-only
#
# docs-links.py DIR: each link and picture of the HTML pages below DIR that doesn't leave it. Prints
# those that lead nowhere, and pages that no link leads to from index.html; at the end how many it followed.

import pathlib
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.links, self.places = [], {""}
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.places |= {attrs[a] for a in ("id", "name") if attrs.get(a)}
        for a in ("href", "src", "data"):
            if attrs.get(a):
                self.links.append(attrs[a])


top = pathlib.Path(sys.argv[1]).resolve()
pages = {path: Page(path) for path in top.rglob("*.html")}
followed, reached, wrong = 0, {top / "index.html"}, []
todo = list(reached)
for path, page in pages.items():
    for link in page.links:
        url = urlsplit(link)
        if url.scheme or url.netloc:
            continue
        to = (path.parent / unquote(url.path)).resolve() if url.path else path
        followed += 1
        if not to.exists() or top not in to.parents:
            wrong.append(f"{path.relative_to(top)}: there is no {link}")
        elif to in pages and unquote(url.fragment) not in pages[to].places:
            wrong.append(f"{path.relative_to(top)}: there is no place {link}")
while todo:
    path = todo.pop()
    for link in pages[path].links:
        url = urlsplit(link)
        to = (path.parent / unquote(url.path)).resolve() if url.path else path
        if not url.scheme and to in pages and to not in reached:
            reached.add(to)
            todo.append(to)
wrong += [f"no link leads to {path.relative_to(top)}" for path in sorted(pages.keys() - reached)]
print("\n".join(wrong + [f"followed {followed} of {len(pages)} pages"]))
sys.exit(bool(wrong))
