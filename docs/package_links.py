"""Write the address of the repository into what a package index shows: README.md, pyproject.toml.

    python docs/package_links.py https://HOST/OWNER/NAME v0.2.0

The release workflow runs this before it builds. On a page of a package index, links that are
relative to the repository lead nowhere.
"""

import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# [text](path) or ![text](path), where the path is no address and no place in the page itself.
_LINK = re.compile(r"(!?)(\[[^\]]*\])\((?![a-z]+:|#)([^)\s]+)\)")


def with_absolute_links(readme: str, address: str, version: str) -> str:
    """The text of README.md with links to one version of the repository at an address."""

    def link(match: re.Match[str]) -> str:
        picture, text, path = match.groups()
        return f"{picture}{text}({address}/{'raw' if picture else 'blob'}/{version}/{path})"

    return _LINK.sub(link, readme)


def with_urls(pyproject: str, address: str, version: str) -> str:
    """The text of pyproject.toml with the project's addresses."""
    return (
        f'{pyproject}\n[project.urls]\nRepository = "{address}"\n'
        f'Documentation = "{address}/blob/{version}/docs/index.md"\n'
        f'Changelog = "{address}/blob/{version}/CHANGELOG.md"\nIssues = "{address}/issues"\n'
    )


def main() -> None:
    """Change both files."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    for name, change in (("README.md", with_absolute_links), ("pyproject.toml", with_urls)):
        path = REPOSITORY / name
        text = path.read_text(encoding="utf-8")
        path.write_text(change(text, *sys.argv[1:]), encoding="utf-8")


if __name__ == "__main__":
    main()
