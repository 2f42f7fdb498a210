# SPDX-License-Identifier: GPL-2.0-only
#
# "make docs": the pages as HTML, by Sphinx. The pages name each other as files, and manual pages as
# name(section): here both become links, and mandoc makes HTML of the manual pages.

import pathlib
import re
import subprocess

from docutils import nodes

here = pathlib.Path(__file__).parent
top = here.parent

project = "cptdev"
version = release = (top / "VERSION").read_text().strip()
copyright = "the authors of cptdev; GPL-2.0-only"
extensions = ["sphinx.ext.graphviz"]
exclude_patterns = ["man", "abi/released"]
graphviz_output_format = "svg"
html_theme = "alabaster"
html_sidebars = {"**": ["about.html", "searchbox.html", "navigation.html"]}
html_theme_options = {"description": "checkpoints of a program's own memory, for a hot spare",
                      "fixed_sidebar": True, "page_width": "68em"}
html_copy_source = False
# Pictures that "make bench" drew, if it has run.
bench = sorted((top / "build/bench").glob("pause-*.svg"))
html_extra_path = [str(picture) for picture in bench]

manuals = {page.name.rsplit(".", 1)[0] + "(" + page.suffix[1:] + ")": page
           for page in (here / "man").glob("man?/*.?")}
word = re.compile(r"\b([A-Za-z_][\w.-]*\(\d\))|([\w/-]+\.rst)\b")


def target(app, docname, name):
    """The address of what the text names, seen from the page; None: it is no page of ours."""
    up = "../" * docname.count("/")
    if name in manuals:
        return up + "man/" + manuals[name].name + ".html"
    for other in (name[:-4], docname.rsplit("/", 1)[0] + "/" + name[:-4], "abi/" + name[:-4]):
        if name.endswith(".rst") and other in app.env.found_docs and other != docname:
            return up + other + ".html"
    return None


def links(app, docname, text):
    """The text with links in it, as nodes."""
    done, result = 0, []
    for m in word.finditer(text):
        address = target(app, docname, m.group())
        if address:
            result += [nodes.Text(text[done:m.start()]),
                       nodes.reference("", m.group(), refuri=address, internal=True)]
            done = m.end()
    return result + [nodes.Text(text[done:])] if result else None


def add_links(app, doctree, docname):
    for node in doctree.findall(nodes.reference):
        node["refuri"] = target(app, docname, node.get("refuri", "")) or node.get("refuri", "")
        if not node["refuri"]:
            del node["refuri"]
    for node in list(doctree.findall(nodes.Text)):
        p = node.parent
        if isinstance(p, (nodes.reference, nodes.literal_block, nodes.title, nodes.raw)):
            continue
        new = links(app, docname, node.astext())
        if new:
            p.replace(node, new)


def manual_pages(app):
    """By mandoc, in the frame of the other pages."""
    names = {page.name + ".html" for page in manuals.values()}
    for name, page in manuals.items():
        html = subprocess.run(["mandoc", "-T", "html", "-O", "fragment,man=%N.%S.html", str(page)],
                              check=True, capture_output=True, text=True).stdout
        # Pages of others aren't here.
        html = re.sub(r'<a class="Xr" href="([^"]*)">(.*?)</a>',
                      lambda m: m.group() if m.group(1) in names else m.group(2), html)
        yield "man/" + page.name, {"title": name, "body": html}, "page.html"


def manual_list():
    lines = []
    for name, page in sorted(manuals.items(), key=lambda m: (m[1].suffix, m[0])):
        about = re.search(r"^\.Nd (.*)$", page.read_text(), re.M)
        lines.append(f"* {name}: {about.group(1)}")
    return "\n".join(lines)


def picture(path):
    return f".. raw:: html\n\n   <p><img src=\"{path.name}\" alt=\"{path.stem}\"></p>\n"


def add_to_page(app, docname, source):
    """What is known only when the pages are made."""
    if docname == "manuals":
        source[0] += manual_list()
    if docname == "pictures":
        source[0] += "\n".join(map(picture, bench)) or "``make bench`` hasn't run in this tree.\n"


def setup(app):
    app.connect("source-read", add_to_page)
    app.connect("doctree-resolved", add_links)
    app.connect("html-collect-pages", manual_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
