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


# The outcome of an action, not a value that could not be read.
OUTCOMES = {"notebook/ui/background_step.py": {"Record | JarkkitError"}}


def errors_as_values(tree: ast.AST) -> Iterator[str]:
    """Yield the annotations that offer an error as an alternative to a value."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            members = set(ast.unparse(node).split(" | "))
            if "JarkkitError" in members and not members <= {"JarkkitError", "None"}:
                yield ast.unparse(node)


def test_a_value_that_could_not_be_read_is_unknown_and_no_error() -> None:
    found = {
        str(path.relative_to(ROOT / "jarkkit")): set(errors_as_values(ast.parse(path.read_text())))
        for path in (ROOT / "jarkkit").rglob("*.py")
    }
    assert {name: unions for name, unions in found.items() if unions} == OUTCOMES


@pytest.mark.parametrize("union", ["int | JarkkitError", "JarkkitError | tuple[int, ...] | None"])
def test_an_error_as_a_value_is_found(union: str) -> None:
    assert union in errors_as_values(ast.parse(f"found: {union}"))


# Modules that sleep in a loop: the helper, and what does not look for a state.
SLEEPS_IN_LOOPS = {
    "model/polling.py": "the helper",
    "notebook/ui/launch.py": "asyncio: the kernel has to go on",
    "ports/helm/retry.py": "a retry: how long depends on the error",
    "ports/kube/http.py": "a retry: how long depends on the error, the pause on its Retry-After",
    "ports/kube/list_watch.py": "a limit on how often a watch reconnects",
}


def sleeps_in_loops(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of calls of a function `…sleep` in a loop."""
    loops = (ast.For, ast.AsyncFor, ast.While)
    for loop in (node for node in ast.walk(tree) if isinstance(node, loops)):
        for call in (node for node in ast.walk(loop) if isinstance(node, ast.Call)):
            if ast.unparse(call.func).endswith("sleep"):
                yield call.lineno


def test_only_the_helper_sleeps_in_a_loop() -> None:
    package = ROOT / "jarkkit"
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if any(sleeps_in_loops(ast.parse(path.read_text())))
    }
    assert found == SLEEPS_IN_LOOPS.keys()


@pytest.mark.parametrize(
    "code",
    [
        "while waits:\n    time.sleep(1)",
        "for _ in range(3):\n    if waits:\n        self._sleep(1)",
        "async def f():\n    while waits:\n        await asyncio.sleep(1)",
    ],
)
def test_a_sleep_in_a_loop_is_found(code: str) -> None:
    assert list(sleeps_in_loops(ast.parse(code)))


# The sandbox answers as AWS and web UIs do, in XML and HTML of its own.
_HTML_ROOMS = ("render/", "sandbox/")
_TAGS = (
    "a|b|body|br|code|details|div|em|figure|h[1-6]|html|img|li|ol|p|pre|small|span|strong|style"
    "|summary|svg|table|tbody|td|th|thead|tr|ul"
)


def html_in(tree: ast.AST) -> Iterator[str]:
    """Yield HTML tags in texts, methods that return HTML on their own, and escaping for HTML."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(rf"</?(?:{_TAGS})(?:\s[^<>]*)?/?>|<(?:{_TAGS})\s\w+=", node.value)
        elif isinstance(node, ast.ImportFrom) and node.module == "html":
            yield "from html import"
        elif isinstance(node, ast.Import) and any(name.name == "html" for name in node.names):
            yield "import html"


def test_only_the_renderer_writes_html() -> None:
    package = ROOT / "jarkkit"
    found = {
        module: hits
        for path in package.rglob("*.py")
        if not (module := str(path.relative_to(package))).startswith(_HTML_ROOMS)
        if (hits := [*html_in(ast.parse(path.read_text()))])
    }
    assert found == {}


@pytest.mark.parametrize(
    "code",
    [
        "x = '<p>'",
        "f'<td>{x}</td>'",
        'f"<div class={x}>"',
        "'</table>'",
        "from html import escape",
    ],
)
def test_html_is_found(code: str) -> None:
    assert list(html_in(ast.parse(code)))


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
