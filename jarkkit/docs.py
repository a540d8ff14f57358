"""Writes the pages of docs/ that are made from the code: `python -m jarkkit.docs`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from jarkkit.addons.catalogue import Addon, catalogue
from jarkkit.errors import CODES
from jarkkit.settings import CLUSTER_VERSIONS, FAMILIES, GROUPS, Settings, field_extra, fields_of


def settings_page() -> str:
    """docs/settings.md: every setting with its default, unit and reason."""
    lines = [
        "# Settings",
        "",
        "<!-- Made from jarkkit/settings.py by `make docs`; a test holds the two together. -->",
        "",
        "Values come from the deployment's `settings.yaml`, then from the environment "
        "(`JARKKIT_<NAME>`, upper case), then from `-p NAME=VALUE`; the last one wins. Unknown "
        "names are refused. Values are YAML: `-p 'accelerators=[g6, inf2]'`.",
    ]
    defaults = Settings().model_dump(mode="json")
    for group in GROUPS:
        lines += ["", f"## {group}", ""]
        for name in fields_of(group):
            field = Settings.model_fields[name]
            unit = field_extra(field)["unit"]
            default = json.dumps(defaults[name], ensure_ascii=False)
            lines += [
                f"### `{name}`",
                "",
                f"{field.title}{f', in {unit}' if unit else ''}. Default: `{default}`.",
                "",
                field.description or "",
                "",
            ]
            lines += _choices(name)
    return "\n".join(lines).rstrip() + "\n"


def _choices(name: str) -> list[str]:
    if name == "cluster_version":
        return [f"One of: {', '.join(CLUSTER_VERSIONS)}.", ""]
    if name == "accelerators":
        known = ", ".join(f"`{family}` ({chip})" for family, chip in FAMILIES.items())
        return [f"Families: {known}.", ""]
    schema = Settings.model_json_schema()["properties"][name]
    allowed = schema.get("enum") or schema.get("items", {}).get("enum")
    return [f"One of: {', '.join(f'`{v}`' for v in allowed)}.", ""] if allowed else []


def errors_page() -> str:
    """docs/errors.md: every code with its meaning."""
    rows = [f"| `{code}` | {meaning} |" for code, meaning in CODES.items()]
    head = [
        "# Error codes",
        "",
        "<!-- Made from jarkkit/errors.py by `make docs`; a test holds the two together. -->",
        "",
        "Every failure has a stable code, says what happened and what to do next. In a terminal",
        "and in a notebook the fix stands below the message; `--json` gives the same as fields.",
        "",
        "| code | what it means |",
        "|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


_BEGIN = "<!-- Made from jarkkit/addons/catalog/ by `make docs`; a test holds the two together. -->"
_END = "<!-- Up to here. -->"


def addons_table() -> str:
    """The part of docs/addons.md that is made: every add-on with what it is installed from."""
    head = [
        "| add-on | default | installed as | chart and version | namespace | needs |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(_row, catalogue().values())]) + "\n"


def _row(addon: Addon) -> str:
    kind = {"eks": "EKS add-on", "helm": "Helm", "manifests": "objects"}[addon.install]
    chart = f"{addon.chart.name} {addon.chart.version}" if addon.chart else addon.version or ""
    cells = (
        f"[{addon.name}]({addon.link})",
        "on" if addon.default else "off",
        f"{kind}, core" if addon.core else kind,
        chart,
        addon.namespace,
        ", ".join(addon.needs),
    )
    return f"| {' | '.join(cells)} |"


def addons_page(page: str) -> str:
    """docs/addons.md as it should be: what is between the marks is the table.

    Raises ValueError where there are no marks.
    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError("docs/addons.md has lost the marks around its table")
    return f"{before}{begin}\n\n{addons_table()}\n{end}{after}"


PAGES = {"settings.md": settings_page, "errors.md": errors_page}


def main(folder: Path) -> None:
    """Write all generated pages, and the table of add-ons, into a folder."""
    folder.mkdir(exist_ok=True)
    for name, write in PAGES.items():
        (folder / name).write_text(write())
    addons = folder / "addons.md"
    if addons.is_file():
        addons.write_text(addons_page(addons.read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs")
