"""Writes the pages of docs/ that are made from the code: `python -m jarkkit.docs`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from jarkkit.addons.catalogue import Addon, catalogue
from jarkkit.drills import drills
from jarkkit.errors import CODES
from jarkkit.permissions.policy import document, parts, published, text
from jarkkit.permissions.statements import templates
from jarkkit.settings import CLUSTER_VERSIONS, FAMILIES, GROUPS, Settings, field_extra, fields_of
from jarkkit.steps.preflight import QUESTIONS
from jarkkit.steps.preflight.asking import question_name

_END = "<!-- Up to here. -->"


def _made(source: str) -> str:
    return f"<!-- Made from {source} by `make docs`; a test holds the two together. -->"


def settings_page() -> str:
    """docs/settings.md: every setting with its default, unit and reason."""
    lines = [
        "# Settings",
        "",
        _made("jarkkit/settings.py"),
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
        _made("jarkkit/errors.py"),
        "",
        "Every failure has a stable code, says what happened and what to do next. In a terminal",
        "and in a notebook the fix stands below the message; `--json` gives the same as fields.",
        "",
        "| code | what it means |",
        "|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


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


def permissions_table() -> str:
    """The part of docs/permissions.md that is made: every statement, and what could not be
    narrower."""
    head = ["| statement | for | steps | not narrower, because |", "|---|---|---|---|"]
    rows = [
        f"| `{s.sid}` | {s.purpose} | {', '.join(s.steps)} | {' '.join(s.unbound.split())} |"
        for s in templates()
    ]
    return "\n".join([*head, *rows]) + "\n"


def questions_table() -> str:
    """The part of docs/preflight.md that is made: every question, by what it is about."""
    head = ["| about | questions |", "|---|---|"]
    rows = [
        f"| {group} | {'; '.join(map(question_name, questions))} |"
        for group, questions in QUESTIONS.items()
    ]
    return "\n".join([*head, *rows]) + "\n"


def drills_table() -> str:
    """The part of docs/troubleshooting.md that is made: every drill."""
    head = ["| drill | switched on | what one sees | where to look | what helps | code |"]
    rows = [
        f"| `{d.name}` | {d.switched_on} | {d.see} | {d.look} | {d.mend} "
        f"| [{d.code}](#{d.code.lower()}) |"
        for d in drills().values()
    ]
    return "\n".join([*head, "|---|---|---|---|---|---|", *rows]) + "\n"


def policies() -> dict[str, str]:
    """docs/iam-policy.json, and the same in parts that AWS takes as managed policies."""
    statements = published()
    split = {f"iam-policy/{name}.json": text(part) for name, part in parts(statements).items()}
    return {"iam-policy.json": text(document(statements)), **split}


PAGES = {"settings.md": settings_page, "errors.md": errors_page}
# What the made part of a page is made from, and how.
MARKED: dict[str, tuple[str, Callable[[], str]]] = {
    "addons.md": ("jarkkit/addons/catalog/", addons_table),
    "permissions.md": ("jarkkit/permissions/", permissions_table),
    "preflight.md": ("jarkkit/steps/preflight/", questions_table),
    "troubleshooting.md": ("jarkkit/drills/", drills_table),
}


def renewed(name: str, page: str) -> str:
    """A page as it should be: what is between its marks is the table.

    Raises ValueError where the marks are gone.
    """
    source, table = MARKED[name]
    before, begin, rest = page.partition(_made(source))
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"docs/{name} has lost the marks around its table")
    return f"{before}{begin}\n\n{table()}\n{end}{after}"


def main(folder: Path) -> None:
    """Write all generated pages, the made parts of others, and the policies, into a folder."""
    folder.mkdir(exist_ok=True)
    for name, write in PAGES.items():
        (folder / name).write_text(write())
    for name in MARKED:
        if (page := folder / name).is_file():
            page.write_text(renewed(name, page.read_text()))
    (folder / "iam-policy").mkdir(exist_ok=True)
    for name, policy in policies().items():
        (folder / name).write_text(policy)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs")
