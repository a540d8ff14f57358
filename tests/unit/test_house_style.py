"""The rules of docs/style.md and docs/architecture.md that a program can check."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STYLE = ROOT / "docs" / "style.md"
TEXT = {
    ".py",
    ".md",
    ".yaml",
    ".yml",
    ".tf",
    ".toml",
    ".ipynb",
    ".go",
    ".gotmpl",
    ".svg",
    ".cfg",
    "",
}
# Sums, pins and the history of names are not prose of ours.
EXEMPT = {
    "requirements.txt",
    "docs/style.md",
    "tests/unit/test_house_style.py",
    "CHANGELOG.md",
    "LICENSE",
}
# Paths that pages name and that are not in the repository: the original's, and the wheel's.
ELSEWHERE = {"terraform/_LOCAL", "jarkkit/assets/"}


def banned() -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the banned words and phrases of the table in docs/style.md."""
    section = STYLE.read_text().partition("## Banned words")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")][2:]
    entries = [re.sub(r"^`|`$", "", entry.strip()) for cell in cells for entry in cell.split(",")]
    words = frozenset(entry for entry in entries if re.fullmatch(r"[a-z]+", entry))
    return words, tuple(entry for entry in entries if entry not in words)


def files() -> Iterator[Path]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    for name in listed:
        path = ROOT / name
        if path.suffix in TEXT and name not in EXEMPT and path.is_file():
            yield path


def violations(text: str, words: frozenset[str], phrases: tuple[str, ...]) -> set[str]:
    """Return the banned words in a text, also those inside identifiers."""
    # `toldYou`, `ToldYou`, `told_you` and `TOLD` are each read as their words.
    found = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)}
    spoken = re.sub(r"[\s_]+", " ", text.lower())
    return (found & words) | {p for p in phrases if re.search(rf"\b{re.escape(p)}\b", spoken)}


def test_the_table_of_banned_words_is_read() -> None:
    words, phrases = banned()
    assert {"thing", "told", "nobody", "mend"} <= words
    assert "stand-in" in phrases
    assert violations("class ToldYou: a_thing", words, phrases) == {"told", "thing"}
    assert violations("a stand-in", words, phrases) == {"stand-in"}
    assert violations("recommended, nothing", words, phrases) == set()


def test_no_banned_word_is_used() -> None:
    words, phrases = banned()
    found = {
        str(path.relative_to(ROOT)): sorted(hits)
        for path in files()
        if (hits := violations(f"{path.name}\n{path.read_text()}", words, phrases))
    }
    assert found == {}


def public_classes() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "jarkkit").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(ROOT)))
    return found


def test_the_name_of_a_public_class_says_which_one_it_is() -> None:
    assert {name: paths for name, paths in public_classes().items() if len(paths) > 1} == {}


# Modules that compare `.code`, and what it is there. Programs catch classes of errors.
COMPARED_CODES = {
    "catalog/drills/__init__.py": "the code of a drill's data, which has to exist",
    "decisions/quotas/table.py": "the code of a quota",
    "notebook/ui/drill_session.py": "checks with the code of the drill's data",
    "ports/aws/quota_usage.py": "the code of a quota",
    "ports/aws/quotas.py": "the code of a quota",
    "ports/chart_repositories.py": "the status of an HTTP response",
    "sandbox/account/servicequotas/models.py": "the code of a quota",
    "steps/use.py": "the codes of two reasons of a pod: are they the same?",
}


def compared_codes(tree: ast.AST, module: str) -> Iterator[str]:
    """Yield comparisons of the codes of errors: with a text, or of an attribute `code`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            compared: list[ast.AST] = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            compared = [node.func.value, *node.args] if node.func.attr in _TEXT_TESTS else []
        elif isinstance(node, ast.MatchValue):
            compared = [node.value]
        else:
            continue
        inside = [part for operand in compared for part in ast.walk(operand)]
        named = any(isinstance(p, ast.Constant) and str(p.value)[:3] == "JK-" for p in inside)
        attribute = any(isinstance(p, ast.Attribute) and p.attr == "code" for p in compared)
        if named or (attribute and module not in COMPARED_CODES):
            yield f"{module}:{node.lineno}: {ast.unparse(node)}"


_TEXT_TESTS = ("startswith", "endswith", "removeprefix", "partition", "split")


def test_no_code_of_an_error_is_compared() -> None:
    package = ROOT / "jarkkit"
    modules = {str(path.relative_to(package)): path for path in package.rglob("*.py")}
    found = {m: [*compared_codes(ast.parse(p.read_text()), m)] for m, p in modules.items()}
    assert [line for lines in found.values() for line in lines] == []
    assert COMPARED_CODES.keys() <= modules.keys()


@pytest.mark.parametrize(
    "code",
    [
        'error.code == "JK-INTERRUPTED"',
        "error.code in _TIMEOUTS",
        'error.code.startswith("JK-KUBE-")',
        'found in ("JK-USAGE", "JK-INTERNAL")',
        'match found:\n    case "JK-USAGE":\n        pass',
    ],
)
def test_a_compared_code_is_found(code: str) -> None:
    assert list(compared_codes(ast.parse(code), "steps/deploy.py"))


def test_the_top_level_of_the_package_is_its_layers() -> None:
    entries = {
        path.name
        for path in (ROOT / "jarkkit").iterdir()
        if not path.name.startswith(("__", ".")) and path.name not in ("py.typed", "assets")
    }
    assert len(entries) <= 12, sorted(entries)
    page = (ROOT / "docs" / "architecture.md").read_text()
    for name in entries:
        assert f"`{name.removesuffix('.py')}" in page or f"`{name}" in page, name


@pytest.mark.parametrize("name", ["README.md", "docs/architecture.md", "CONTRIBUTING.md"])
def test_every_path_of_the_project_that_a_page_names_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    named = re.findall(
        r"`((?:jarkkit|tests|docs|terraform|tools|benchmarks|notebooks)/[\w./-]+)`", text
    )
    missing = [path for path in named if not (ROOT / path).exists() and path not in ELSEWHERE]
    assert missing == []


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_every_module_that_a_page_names_exists(path: Path) -> None:
    """Pages name modules below `jarkkit/` or below `jarkkit/sandbox/`, without these folders."""
    rooms = "cli|headless|notebook|render|steps|ports|decisions|catalog|settings|model|sandbox"
    named = re.findall(rf"`((?:{rooms}|account|controllers)/[\w./-]+)`", path.read_text())
    package = ROOT / "jarkkit"
    found = (package, package / "sandbox")
    assert [name for name in named if not any((at / name).exists() for at in found)] == []
