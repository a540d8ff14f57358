"""Writes the pages of docs/ that are made from the code: `python -m jarkkit.docs`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from jarkkit.addons.catalogue import Addon, catalogue
from jarkkit.drills import drills
from jarkkit.errors import CODES
from jarkkit.permissions.policy import document, parts, published, text
from jarkkit.permissions.statements import templates
from jarkkit.settings import CLUSTER_VERSIONS, FAMILIES, GROUPS, Settings, field_extra, fields_of
from jarkkit.steps.preflight import QUESTIONS
from jarkkit.steps.preflight.asking import question_name


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


_STATEMENTS = (
    "<!-- Made from jarkkit/permissions/ by `make docs`; a test holds the two together. -->"
)


def permissions_table() -> str:
    """The part of docs/permissions.md that is made: every statement, and what could not be
    narrower."""
    head = ["| statement | for | steps | not narrower, because |", "|---|---|---|---|"]
    rows = [
        f"| `{s.sid}` | {s.purpose} | {', '.join(s.steps)} | {' '.join(s.unbound.split())} |"
        for s in templates()
    ]
    return "\n".join([*head, *rows]) + "\n"


def permissions_page(page: str) -> str:
    """docs/permissions.md as it should be. Raises ValueError where the marks are gone."""
    before, begin, rest = page.partition(_STATEMENTS)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError("docs/permissions.md has lost the marks around its table")
    return f"{before}{begin}\n\n{permissions_table()}\n{end}{after}"


_QUESTIONS = (
    "<!-- Made from jarkkit/steps/preflight/ by `make docs`; a test holds the two together. -->"
)


def questions_table() -> str:
    """The part of docs/preflight.md that is made: every question, by what it is about."""
    head = ["| about | questions |", "|---|---|"]
    rows = [
        f"| {group} | {'; '.join(map(question_name, questions))} |"
        for group, questions in QUESTIONS.items()
    ]
    return "\n".join([*head, *rows]) + "\n"


def preflight_page(page: str) -> str:
    """docs/preflight.md as it should be. Raises ValueError where the marks are gone."""
    before, begin, rest = page.partition(_QUESTIONS)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError("docs/preflight.md has lost the marks around its table")
    return f"{before}{begin}\n\n{questions_table()}\n{end}{after}"


_DRILLS = "<!-- Made from jarkkit/drills/ by `make docs`; a test holds the two together. -->"


def drills_table() -> str:
    """The part of docs/troubleshooting.md that is made: every drill."""
    head = ["| drill | switched on | what one sees | where to look | what helps | code |"]
    rows = [
        f"| `{d.name}` | {d.switched_on} | {d.see} | {d.look} | {d.mend} "
        f"| [{d.code}](#{d.code.lower()}) |"
        for d in drills().values()
    ]
    return "\n".join([*head, "|---|---|---|---|---|---|", *rows]) + "\n"


def troubleshooting_page(page: str) -> str:
    """docs/troubleshooting.md as it should be. Raises ValueError where the marks are gone."""
    before, begin, rest = page.partition(_DRILLS)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError("docs/troubleshooting.md has lost the marks around its table")
    return f"{before}{begin}\n\n{drills_table()}\n{end}{after}"


def policies() -> dict[str, str]:
    """docs/iam-policy.json, and the same in parts that AWS takes as managed policies."""
    statements = published()
    split = {f"iam-policy/{name}.json": text(part) for name, part in parts(statements).items()}
    return {"iam-policy.json": text(document(statements)), **split}


PAGES = {"settings.md": settings_page, "errors.md": errors_page}
MARKED = {
    "addons.md": addons_page,
    "permissions.md": permissions_page,
    "preflight.md": preflight_page,
    "troubleshooting.md": troubleshooting_page,
}


def main(folder: Path) -> None:
    """Write all generated pages, the made parts of others, and the policies, into a folder."""
    folder.mkdir(exist_ok=True)
    for name, write in PAGES.items():
        (folder / name).write_text(write())
    for name, renew in MARKED.items():
        if (page := folder / name).is_file():
            page.write_text(renew(page.read_text()))
    (folder / "iam-policy").mkdir(exist_ok=True)
    for name, policy in policies().items():
        (folder / name).write_text(policy)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs")
