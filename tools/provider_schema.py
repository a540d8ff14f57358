"""Compare terraform/ with the schema of another version of the AWS provider.

    python -m tools.provider_schema BINDINGS.whl

Where no other version of the provider can be installed, its Python bindings still show its schema:
the wheel `cdktf-cdktf-provider-aws` (21.22.1 was generated from 6.25.0) has a class for each
resource, data source and nested block, with the names of arguments and attributes. The comparison
shows every argument and attribute that terraform/ uses and the other version does not have.
"""

from __future__ import annotations

import ast
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jarkkit.ports.paths import terraform_folder

# Arguments and blocks of Terraform itself: directly in a resource, and in `dynamic` blocks.
_OWN = frozenset({"for_each", "count", "depends_on", "provider", "lifecycle"})
_DYNAMIC = frozenset({"for_each", "content"})
_BLOCK = re.compile(r'(?:dynamic "(?P<dynamic>\w+)"|(?P<name>\w+)) \{')
_REFERENCE = re.compile(r"\b(data\.)?(aws_\w+)\.\w+(?:\[[^]]*\])?\.(\w+)")


@dataclass
class Usage:
    """What the configuration uses of a resource or data source.

    Attributes:
        arguments: paths of arguments and blocks, such as `vpc_config.subnet_ids`.
        attributes: names that other expressions refer to.
    """

    arguments: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)


def used(texts: Iterable[str]) -> dict[str, Usage]:
    """Return what formatted configuration files use, by resource type (`data.` before a data
    source)."""
    found: dict[str, Usage] = {}
    for text in texts:
        for kind, path in _arguments(text):
            found.setdefault(kind, Usage()).arguments.add(path)
        for data, kind, attribute in _REFERENCE.findall(text):
            found.setdefault(data + kind, Usage()).attributes.add(attribute)
    return found


def _arguments(text: str) -> Iterator[tuple[str, str]]:
    """Yield each argument's resource type and path. `terraform fmt` indents by two per block."""
    kind, blocks = "", [""]
    for line in text.splitlines():
        words = line.strip()
        depth = (len(line) - len(line.lstrip())) // 2
        if not words or words.startswith("#"):
            continue
        if depth == 0:
            top = re.match(r'(resource|data) "(\w+)"', words)
            kind, blocks = (
                (("data." if top[1] == "data" else "") + top[2], [""]) if top else ("", [""])
            )
            continue
        del blocks[depth:]
        if not kind or len(blocks) != depth:  # inside a map or a list, not a block
            continue
        block, argument = _BLOCK.fullmatch(words), re.match(r"(\w+)\s*=", words)
        name = (block["dynamic"] or block["name"]) if block else argument[1] if argument else ""
        if block:
            blocks.append(name)
        path = [*blocks[1:depth], name]
        if name and path[0] not in _OWN and name not in _DYNAMIC:
            yield kind, ".".join(part for part in path if part not in _DYNAMIC)


class Bindings:
    """The schema that the Python bindings of a provider describe."""

    def __init__(self, wheel: Path) -> None:
        self._wheel = zipfile.ZipFile(wheel)
        (self._package,) = {
            name.split("/")[0] for name in self._wheel.namelist() if name.endswith("/py.typed")
        }

    def version(self) -> str:
        """Return the version of the provider."""
        text = self._text("eks_cluster")
        found = re.search(r"providers/hashicorp/aws/([\d.]+)/", text)
        return found[1] if found else "unknown"

    def missing(self, kind: str, usage: Usage) -> tuple[str, ...]:
        """Return what this version does not have of that usage."""
        name = kind.replace("data.", "data_").replace("aws_", "aws_" if "data." in kind else "", 1)
        classes = {
            node.name: node
            for node in ast.parse(self._text(name)).body
            if isinstance(node, ast.ClassDef)
        }
        # A name that the bindings use themselves gets an A: S3BucketVersioningA.
        top = next((n for n in (_pascal(name), f"{_pascal(name)}A") if n in classes), "")
        gone = [path for path in usage.arguments if not _has(classes, top, path.split("."))]
        known = _names(classes[top]) if top else set()
        return (*sorted(gone), *sorted(f"{a} (attribute)" for a in usage.attributes - known))

    def _text(self, module: str) -> str:
        return self._wheel.read(f"{self._package}/{module}/__init__.py").decode()


def _has(classes: dict[str, ast.ClassDef], top: str, path: list[str]) -> bool:
    owner = top.removesuffix("A") if len(path) > 1 else top
    names = {owner + "".join(map(_pascal, path[:-1])) + suffix for suffix in ("", "A")}
    return any(path[-1] in _names(classes[name]) for name in names if name in classes)


def _names(owner: ast.ClassDef) -> set[str]:
    """Return the arguments of a class' constructor and the names of its properties."""
    found = {node.name for node in owner.body if isinstance(node, ast.FunctionDef)}
    for node in owner.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            found |= {argument.arg for argument in node.args.kwonlyargs}
    return found


def _pascal(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def main(wheel: str) -> None:
    """Print what differs, and how much was compared."""
    bindings = Bindings(Path(wheel))
    usages = used(path.read_text() for path in sorted(terraform_folder().rglob("*.tf")))
    for kind, usage in sorted(usages.items()):
        for gone in bindings.missing(kind, usage):
            sys.stdout.write(f"{kind}: {gone} does not exist in {bindings.version()}\n")
    arguments = sum(len(usage.arguments) for usage in usages.values())
    attributes = sum(len(usage.attributes) for usage in usages.values())
    sys.stdout.write(
        f"{len(usages)} kinds, {arguments} arguments and {attributes} attributes compared with "
        f"{bindings.version()}\n"
    )


if __name__ == "__main__":
    main(sys.argv[1])
