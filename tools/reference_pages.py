"""Generates the pages of docs/ that come from the code: `python -m tools.reference_pages`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from jarkkit.catalog import facts
from jarkkit.catalog.addons import Addon, addon_catalog
from jarkkit.catalog.drills import drills
from jarkkit.cli.app import app
from jarkkit.decisions.permissions.policy import (
    policy_document,
    policy_json,
    published_statements,
    split_policies,
)
from jarkkit.decisions.permissions.statements import statement_templates
from jarkkit.model import errors
from jarkkit.model.errors import CODES, JarkkitError, error_class
from jarkkit.sandbox.aws_rules import AwsRule, aws_rules
from jarkkit.settings import CLUSTER_VERSIONS, FAMILIES, GROUPS, Settings, field_metadata, fields_of
from jarkkit.steps.preflight import CHECKS
from tools.terraform_tables import terraform_tables

_ROOT = Path(__file__).parents[1]
_END = "<!-- End of the generated part. -->"


def _generated_from(source: str) -> str:
    return f"<!-- Generated from {source} by `make docs`. Do not edit: a test compares the two. -->"


def settings_page() -> str:
    """Return docs/settings.md: every setting with its default, unit and description."""
    lines = [
        "# Settings",
        "",
        _generated_from("jarkkit/settings/definition.py"),
        "",
        "jarkkit reads values from the deployment's `settings.yaml`, then from the environment "
        "(`JARKKIT_<NAME>`, upper case), then from `-p NAME=VALUE`. The last one wins. jarkkit "
        "rejects unknown names. Values are YAML: `-p 'accelerators=[g6, inf2]'`.",
    ]
    defaults = Settings().model_dump(mode="json")
    for group in GROUPS:
        lines += ["", f"## {group}", ""]
        for name in fields_of(group):
            field = Settings.model_fields[name]
            unit = field_metadata(field)["unit"]
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
    """Return docs/errors.md: every code with its meaning and its class, and the classes."""
    rows = [f"| `{c}` | {CODES[c]} | `{error_class(c).__name__}` |" for c in CODES]
    head = [
        "# Error codes",
        "",
        _generated_from("jarkkit/model/errors.py"),
        "",
        "Every failure has a stable code. It says what happened and how to fix it. Terminal and",
        "notebook show the fix below the message; `--json` returns the same values as fields.",
        "",
        "Programs catch the class: see [below](#classes).",
        "",
        "| code | meaning | class |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows, "", *_error_classes()]) + "\n"


def _error_classes() -> list[str]:
    return [
        "## Classes",
        "",
        "The classes are in `jarkkit.model.errors`; `JarkkitError` is also in `jarkkit`. An error",
        "has the class of its code, or a subclass where jarkkit knows the cause. `transient` is",
        "True where the same call may succeed within a minute, without any change; a single error",
        "can know better than its class.",
        "",
        "| class | subclass of | meaning | `transient` |",
        "|---|---|---|---|",
        *map(_class_row, _classes()),
    ]


def _classes() -> list[type[JarkkitError]]:
    """Return the subclasses in the order in which errors.py defines them."""
    defined = (kind for kind in vars(errors).values() if isinstance(kind, type))
    return [k for k in defined if issubclass(k, JarkkitError) and k is not JarkkitError]


def _class_row(kind: type[JarkkitError]) -> str:
    parents = ", ".join(f"`{parent.__name__}`" for parent in kind.__bases__)
    transient = "yes" if kind.transient else ""
    return f"| `{kind.__name__}` | {parents} | {kind.__doc__} | {transient} |"


def addons_table() -> str:
    """Return the generated part of docs/addons.md: every add-on with its source."""
    head = [
        "| add-on | default | installed as | chart and version | namespace | depends on |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(_row, addon_catalog().values())]) + "\n"


def _row(addon: Addon) -> str:
    kind = {"eks": "EKS add-on", "helm": "Helm chart", "manifests": "manifests"}[addon.install]
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
    """Return the generated part of docs/permissions.md: every statement with its exceptions."""
    head = ["| statement | purpose | steps | why it is not narrower |", "|---|---|---|---|"]
    rows = [
        f"| `{s.sid}` | {s.purpose} | {', '.join(s.steps)} | {_one_line(s.why_not_narrower)} |"
        for s in statement_templates()
    ]
    return "\n".join([*head, *rows]) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def checks_table() -> str:
    """Return the generated part of docs/preflight.md: every check by topic."""
    head = ["| topic | checks |", "|---|---|"]
    questions: dict[str, list[str]] = {}
    for check in CHECKS:
        questions.setdefault(check.group, []).append(check.question)
    rows = [f"| {group} | {'; '.join(asked)} |" for group, asked in questions.items()]
    return "\n".join([*head, *rows]) + "\n"


def drills_table() -> str:
    """Return the generated part of docs/troubleshooting.md: every drill."""
    head = ["| drill | fault | symptom | where to look | fix | code |"]
    rows = [
        f"| `{d.name}` | {d.switched_on} | {d.see} | {d.look} | {d.fix} "
        f"| [{d.code}](#{d.code.lower()}) |"
        for d in drills().values()
    ]
    return "\n".join([*head, "|---|---|---|---|---|---|", *rows]) + "\n"


def durations_table() -> str:
    """Return the generated part of docs/sandbox.md: the durations of operations."""
    where = {key: source.where for key, source in facts.sources("durations").items()}
    head = ["| operation | seconds | source |", "|---|---|---|"]
    rows = [
        f"| {operation} | {duration.seconds:g} | {where[duration.source]} |"
        for operation, duration in facts.durations().items()
    ]
    return "\n".join([*head, *rows]) + "\n"


def options_table() -> str:
    """Return the generated part of docs/commands.md: every option of every command."""
    head = ["| command | option | what it does |", "|---|---|---|"]
    return "\n".join([*head, *_option_rows("jarkkit", typer.main.get_command(app))]) + "\n"


# Options that are the same in every command; the page describes them once.
_COMMON_OPTIONS = ("--help", "--json")


def _option_rows(path: str, command: Any) -> Iterator[str]:
    for option in command.params:
        if option.param_type_name == "option" and option.opts[0] not in _COMMON_OPTIONS:
            names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
            value = "" if option.is_flag or option.count else f" `{option.metavar or 'VALUE'}`"
            yield f"| `{path}` | {names}{value} | {_one_line(option.help or '')} |"
    for name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from _option_rows(f"{path} {name}", inner)


def policies() -> dict[str, str]:
    """Return docs/iam-policy.json, also split into parts that AWS accepts as managed policies."""
    statements = published_statements()
    split = {
        f"iam-policy/{name}.json": policy_json(part)
        for name, part in split_policies(statements).items()
    }
    return {"iam-policy.json": policy_json(policy_document(statements)), **split}


def truth_page() -> str:
    """Return docs/truth.md: AWS' rules that the sandbox enforces, and those it misses."""
    head = [
        "# Rules of AWS in the sandbox",
        "",
        _generated_from("jarkkit/sandbox/aws_rules/"),
        "",
        "What AWS rejects, a rehearsal should reject, with the same error code. Each rule below",
        "has its source and the test that proves it. The last section lists the rules that the",
        "[sandbox](sandbox.md) does not enforce, with the reason: a rehearsal that passes does",
        "not prove that you follow those.",
        "",
        "## Enforced",
        "",
    ]
    return "\n".join([*head, *_rules("proven by"), "", "## Missing", "", *_rules("reason")]) + "\n"


def _rules(last: str) -> list[str]:
    """Return the table of the enforced rules, or with the last column `reason` of the missing."""
    rows = [
        _rule_row(service, rule)
        for service, rules in aws_rules().items()
        for rule in rules
        if bool(rule.missing) == (last == "reason")
    ]
    return [f"| service | rule | source | {last} |", "|---|---|---|---|", *rows]


def _rule_row(service: str, rule: AwsRule) -> str:
    why = _one_line(rule.missing) if rule.missing else f"`{rule.test}`"
    cells = (service, _one_line(rule.rule), f"[source]({rule.source})", why)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


PAGES = {"settings.md": settings_page, "errors.md": errors_page, "truth.md": truth_page}
# Source and function of the generated part, by page: its path from docs/.
GENERATED_SECTIONS: dict[str, tuple[str, Callable[[], str]]] = {
    "addons.md": ("jarkkit/catalog/addons/", addons_table),
    "commands.md": ("jarkkit/cli/", options_table),
    "permissions.md": ("jarkkit/catalog/permissions.yaml", permissions_table),
    "preflight.md": ("jarkkit/steps/preflight/", checks_table),
    "sandbox.md": ("jarkkit/catalog/facts/durations.yaml", durations_table),
    "troubleshooting.md": ("jarkkit/catalog/drills/", drills_table),
    "../terraform/README.md": (
        "terraform/variables.tf and terraform/outputs.tf",
        lambda: terraform_tables(_ROOT / "terraform"),
    ),
}


def refresh_page(name: str, page: str) -> str:
    """Return the page with a newly generated table between its markers.

    Raises ValueError if a marker is missing.
    """
    source, table = GENERATED_SECTIONS[name]
    before, begin, rest = page.partition(_generated_from(source))
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"docs/{name} lacks the markers around its generated table")
    return f"{before}{begin}\n\n{table()}\n{end}{after}"


def main(folder: Path) -> None:
    """Write all generated pages, generated parts of pages, and policies to a folder."""
    folder.mkdir(exist_ok=True)
    for name, write in PAGES.items():
        (folder / name).write_text(write())
    for name in GENERATED_SECTIONS:
        if (page := folder / name).is_file():
            page.write_text(refresh_page(name, page.read_text()))
    (folder / "iam-policy").mkdir(exist_ok=True)
    for name, policy in policies().items():
        (folder / name).write_text(policy)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else _ROOT / "docs")
