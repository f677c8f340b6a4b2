"""What differs between a forge, where these pages are read too, and the site.

A link that leaves docs/ (a file of the source) leads nowhere in a site that stands alone: its text stays. A
list may begin right under its sentence on a forge; Python's Markdown wants an empty line before it, and four
blanks where something is nested."""

import posixpath
import re

LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
ITEM = re.compile(r"( *)(?:[-*]|\d+\.) +")


def _links(markdown, page):
    folder = posixpath.dirname(page.file.src_uri)

    def keep(match):
        text, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(folder, target.partition("#")[0]))
        return text if path.startswith("../") else match[0]
    return LINK.sub(keep, markdown)


def _lists(markdown):
    out = []
    fenced = False
    in_list = False
    for line in markdown.split("\n"):
        item = ITEM.match(line)
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced:
            pass
        elif item:
            before = out[-1] if out else ""
            if before.strip() and not in_list and not before.lstrip().startswith(("#", "<!--")):
                out.append("")
            in_list = True
            if item[1]:
                line = " " * len(item[1]) * (2 if len(item[1]) == 2 else 1) + line.lstrip()
        elif not line.strip():
            in_list = False
        out.append(line)
    return "\n".join(out)


def on_page_markdown(markdown, page, **_):
    return _lists(_links(markdown, page))


def on_page_content(html, **_):
    """A bar in a cell is written with a backslash, which stays in code here."""
    return re.sub(r"<td>.*?</td>", lambda cell: cell[0].replace("\\|", "|"), html, flags=re.S)
