# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Write the links of README.md as addresses of the repository, so that they work on PyPI.

    python scripts/absolute_links.py https://github.com/OWNER/micro3d-fast v0.1.0

Run it in a checkout that a release is built from; nothing of it is committed. It changes README.md
in place and adds the addresses of the project to pyproject.toml.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

LINK = re.compile(r"(!?)(\[[^\]]*\]\()(?!https?:|#)([^)\s]+)\)")


def absolute(text: str, repository: str, version: str) -> str:
    """Return Markdown whose links, relative to the top of the repository, are absolute."""
    address = repository.rstrip("/")

    def replaced(link: re.Match[str]) -> str:
        kind = "raw" if link[1] else "blob"  # pictures, pages
        return f"{link[1]}{link[2]}{address}/{kind}/{version}/{link[3]})"

    return LINK.sub(replaced, text)


def main() -> None:
    """Rewrite README.md and pyproject.toml of the working directory."""
    repository, version = sys.argv[1:]
    readme, project = Path("README.md"), Path("pyproject.toml")
    readme.write_text(absolute(readme.read_text("utf-8"), repository, version), "utf-8")
    urls = {"Repository": repository, "Changelog": f"{repository}/blob/{version}/CHANGELOG.md"}
    lines = [f'{name} = "{address}"' for name, address in urls.items()]
    text = project.read_text("utf-8")
    project.write_text(text + "\n".join(["", "[project.urls]", *lines, ""]), "utf-8")


if __name__ == "__main__":
    main()
