"""Hooks for MkDocs: add what the pages link to outside docs/, and the pages that are made of code.

On GitHub a link leads from file to file of the repository; here it leads to the page or the copy of that file.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from docs_site.pages import MADE
from docs_site.pictures import PICTURES

ROOT = Path(__file__).parent.parent
DOCS = "docs/"
ADDED = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "README.md": "project/overview.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security-policy.md",
}
"""Pages from outside docs/, and where they go."""
ORIGINS = {page: origin for origin, page in ADDED.items()}
SHOWN_BY_BROWSERS = (".json", ".txt", ".svg")
LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?P<after>\))")
CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", flags=re.MULTILINE | re.DOTALL)


def on_pre_build(**_: object) -> None:
    """Refuse to build with pictures that are not those of `pictures.py`."""
    stale = [name for name, drawn in PICTURES.items() if not _is_same(ROOT / DOCS / "pictures" / name, drawn)]
    if stale:
        raise PluginError(f"{', '.join(stale)}: not as drawn by docs_site/pictures.py; run: make pictures")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages and files that are not in docs/."""
    for origin, page in ADDED.items():
        files.append(File.generated(config, page, content=(ROOT / origin).read_text("utf-8")))
    for page, make in MADE.items():
        files.append(File.generated(config, page, content=make()))
    pages = [(file.src_uri, file.content_string) for file in files.documentation_pages()]
    outside = {path for uri, text in pages for path in _linked(uri, text) if not _page_of(path)}
    for path in sorted(outside):
        if (ROOT / path).is_file():
            text = (ROOT / path).read_text("utf-8")
            files.append(File.generated(config, _copy_of(path), content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    for file in files.documentation_pages():
        if file.src_uri.startswith("decisions/") and not file.src_uri.endswith("README.md"):
            file.inclusion = InclusionLevel.NOT_IN_NAV  # its list of them is there
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Have links lead to where their files are in the site."""
    uri = page.file.src_uri

    def moved(link: re.Match[str]) -> str:
        path = _resolved(uri, link["target"])
        if path is None or (uri not in ORIGINS and path.startswith(DOCS)):
            return link[0]
        target = _page_of(path) or _copy_of(path)
        return (
            f"{link['before']}{posixpath.relpath(target, posixpath.dirname(uri))}{link['anchor'] or ''}{link['after']}"
        )

    parts = CODE.split(markdown)
    return "".join(part if number % 2 else LINK.sub(moved, part) for number, part in enumerate(parts))


def _is_same(file: Path, drawn: str) -> bool:
    return file.is_file() and file.read_text("utf-8") == drawn


def _linked(uri: str, text: str) -> Iterator[str]:
    """Paths of the repository that a page links to."""
    for link in LINK.finditer(CODE.sub("", text)):
        path = _resolved(uri, link["target"])
        if path is not None:
            yield path


def _resolved(uri: str, target: str) -> str | None:
    """The path in the repository that a link of a page means; None for one that leads elsewhere, or into made pages."""
    if ":" in target or target.startswith("/") or uri in MADE:
        return None
    origin = ORIGINS.get(uri, DOCS + uri)
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))


def _page_of(path: str) -> str | None:
    """The page or file of the site that a path of the repository is; None for what is outside."""
    return path.removeprefix(DOCS) if path.startswith(DOCS) else ADDED.get(path)


def _copy_of(path: str) -> str:
    return f"files/{path}" if path.endswith(SHOWN_BY_BROWSERS) else f"files/{path}.txt"
