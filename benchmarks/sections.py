"""Documents of results, one section a benchmark."""

from __future__ import annotations

from pathlib import Path


def write(heading: str, lines: list[str], file: Path) -> None:
    """Print the section `heading`, and put it into `file` in place of the one that is there."""
    print("\n".join(lines))
    title, *sections = file.read_text().split("\n## ")
    kept = {section.partition("\n")[0]: section.strip() for section in sections}
    kept[heading] = "\n".join([heading, "", *lines])
    file.write_text("\n\n## ".join([title.strip(), *kept.values()]) + "\n")
