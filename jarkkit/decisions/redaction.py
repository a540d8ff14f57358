"""Removes account ids, local paths and secrets from what people share. Pure.

A `Redactor` is for what jarkkit writes itself: it replaces known values, and tokens whose format
shows what they are. A `StrictRedactor` is for what other programs have written, such as logs: it
also removes what only may be a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import groupby
from typing import Any

from jarkkit.model.account_ids import mask_account_ids

Replacements = Mapping[str, str]

SECRET = "(secret)"  # noqa: S105 - the replacement, not a secret
_SHORTEST_SECRET = 8  # shorter values are parts of other words
_CACHED = 4096  # texts
_NO_JSON = object()

# Formats that are nothing but a credential, each with what is left of it.
_TOKENS = tuple(
    (re.compile(pattern, re.DOTALL), left)
    for pattern, left in (
        # A log may have been cut inside the key.
        (
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----"
            r"(?:.*?-----END [A-Z0-9 ]*PRIVATE KEY-----|[A-Za-z0-9+/=\s\\]*)",
            SECRET,
        ),
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b", SECRET),
        (r"\bk8s-aws-v1\.[\w=%-]+", SECRET),
        (r"\b(X-Amz-(?:Signature|Credential|Security-Token)(?:=|%3D))[^&\s\"'\\]+", rf"\1{SECRET}"),
        (r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?", SECRET),  # JSON Web Token
        (r"\b(?:gh[pousr]_|github_pat_|hf_|npm_)\w{20,}", SECRET),
        (r"\b(?:glpat-|nvapi-|sk-|xox[abeoprs]-)[\w-]{16,}", SECRET),
        (r"\b([Bb]earer[ \t]+)(?=[\w.~+/=-]{20}|[\w.~+/=-]*\d)[\w.~+/=-]{8,}", rf"\1{SECRET}"),
        (r"(?<=://)[^/\s\"'<>\\]+@", f"{SECRET}@"),  # user and password of a URL
    )
)

_SUSPECT = (
    r"passw(?:or)?d|passphrase|pwd|secret|token|credential|cookie|authorization"
    r"|(?:api|access|private|client|signing|encryption)[_-]?key"
    r"|certificate-authority-data|client-certificate-data"
)
_SECRET_NAME = re.compile(_SUSPECT, re.IGNORECASE)
# Names of what refers to a secret, or describes one.
_NO_SECRET = re.compile(
    r"(?:names?|refs?|paths?|files?|arn|type|class|version|seconds|expir\w*)$", re.IGNORECASE
)
_NO_VALUE = re.compile(r"(?:true|false|null|none|\(secret\)|env:|arn:|[\[{(<$|>]|$)", re.IGNORECASE)

_HEADER = re.compile(
    r"((?:authorization|cookie)\\*[\"']?[ \t]*[:=][ \t]*)(\\*[\"'])?[^\"'\n]+", re.IGNORECASE
)
_ASSIGNMENT = re.compile(
    rf"(?<![\w.-])(?P<name>[\w.-]*(?:{_SUSPECT})[\w.-]*)(?P<is>\\*[\"']?[ \t]*[:=][ \t]*)"
    r"(?P<quote>\\*[\"'])?(?P<value>(?(quote)(?:.*?(?=(?P=quote))|.*)|[^\s\"']+))",
    re.IGNORECASE,
)
_OPTION = re.compile(
    rf"(?P<name>(?<![\w-])--?[\w-]*(?:{_SUSPECT})[\w-]*)(?P<is>[ \t]+)(?P<value>[^\s-]\S*)",
    re.IGNORECASE,
)
_BLOCK = re.compile(
    rf"^([ \t]*(?:- )?)([\w.-]*(?:{_SUSPECT})[\w.-]*:[ \t]*)[|>][-+\d]*[ \t]*\n"
    r"(?:\1[ \t]+\S.*(?:\n|\Z))+",
    re.IGNORECASE | re.MULTILINE,
)
# Secret access keys, session tokens and data in base64 have no format of their own. Digests in
# hexadecimal and most names have no upper-case letters.
_RANDOM = re.compile(
    r"(?<![A-Za-z0-9+/])(?=[a-z0-9+/]*[A-Z])(?=[A-Z0-9+/]*[a-z])(?=[A-Za-z+/]*\d)"
    r"[A-Za-z0-9+/]{40,}={0,2}"
)
_PEOPLE = tuple(
    (re.compile(pattern), left)
    for pattern, left in (
        (r"(\barn:aws[\w-]*:(?:iam|sts)::[^:\s]*:(?:federated-)?user/)[\w+=,.@/-]+", r"\1(user)"),
        (r"(:assumed-role/[\w+=,.@-]+/)(?!i-)[\w+=,.@-]+", r"\1(session)"),
        (r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b", "(email)"),
        (r"(\bWho\\*\"?:[ \t]*\\*\"?)[\w.@-]+", r"\1(user)"),  # who holds Terraform's lock
        # The users in images of notebooks and of Ray are no people.
        (r"((?<![\w.-])/(?:home|Users)/)(?!(?:jovyan|ray)\b)[^/\s\"':,]+", r"\1(user)"),
        (r"(\b[A-Za-z]:\\+Users\\+)[^\\/\s\"':,]+", r"\1(user)"),
    )
)
_GROUPED_ACCOUNT_ID = re.compile(r"(?<![\w-])(\d{4})-\d{4}-(\d{4})(?![\w-])")


class Redactor:
    """Replaces sensitive values, the longest first, and tokens of a known format."""

    def __init__(self, replacements: Replacements) -> None:
        self._words = sorted(
            ((word, by) for word, by in replacements.items() if len(word) > 1),
            key=lambda pair: -len(pair[0]),
        )

    def text(self, text: str) -> str:
        """Return the text without sensitive values."""
        for word, by in self._words:
            text = text.replace(word, by)
        for pattern, left in _TOKENS:
            text = pattern.sub(left, text)
        return text

    def value(self, value: Any) -> Any:
        """Return a value of JSON or YAML without sensitive values."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): item for key, item in self._items(value)}
        if isinstance(value, list | tuple):
            return self._list(list(value))
        return value

    def _items(self, value: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
        for key, item in value.items():
            yield key, self.value(item)

    def _list(self, items: list[Any]) -> list[Any]:
        return [self.value(item) for item in items]


class StrictRedactor(Redactor):
    """Also removes what may be a secret, every account id, and names of users.

    It rather removes too much: the values of all names that sound like a secret, and long texts
    without words.
    """

    def __init__(self, replacements: Replacements) -> None:
        super().__init__(replacements)
        self._cached = lru_cache(_CACHED)(self.text)  # logs repeat most of their values

    def text(self, text: str) -> str:
        """Return the text without sensitive values."""
        text = super().text(text)
        if _SECRET_NAME.search(text):
            text = _without_named_values(text)
        text = _RANDOM.sub(SECRET, text)
        for pattern, left in _PEOPLE:
            text = pattern.sub(left, text)
        return mask_account_ids(_GROUPED_ACCOUNT_ID.sub(r"\1…\2", text))

    def json_lines(self, text: str) -> str:
        """Return lines of JSON without sensitive values; lines that are no JSON as text."""
        parsed = ((line, _parsed(line)) for line in text.split("\n") if line.strip())
        found = list[str]()
        # A secret can span lines, but only those that are no JSON.
        for is_text, lines in groupby(parsed, key=lambda pair: pair[1] is _NO_JSON):
            if is_text:
                found.append(self.text("\n".join(line for line, _ in lines)))
            else:
                found += [json.dumps(self.value(v), ensure_ascii=False) for _, v in lines]
        return "".join(f"{each}\n" for each in found)

    def value(self, value: Any) -> Any:
        """Return a value of JSON or YAML without sensitive values."""
        if isinstance(value, str):
            return self._cached(value)
        if isinstance(value, int) and not isinstance(value, bool):
            masked = mask_account_ids(str(value))
            return value if masked == str(value) else masked
        return super().value(value)

    def _items(self, value: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
        named = value.get("name")  # an environment variable of a container
        holder = isinstance(named, str) and is_secret_name(named)
        for key, item in value.items():
            secret = is_secret_name(str(key)) or (holder and key == "value")
            yield key, SECRET if secret and _is_value(item) else self.value(item)

    def _list(self, items: list[Any]) -> list[Any]:
        """Return a list, without the values of a command line's options."""
        return [
            SECRET if _is_secret_option(before) and _is_value(item) else self.value(item)
            for before, item in zip([None, *items], items, strict=False)
        ]


def sensitive_values(
    paths: Replacements, *, account_id: str = "", secrets: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return replacements for local paths, the account id and secrets."""
    words = {**paths, account_id: mask_account_ids(account_id)}
    words.update({secret: SECRET for secret in secrets if len(secret) >= _SHORTEST_SECRET})
    words.pop("", None)
    words.pop("/", None)
    return words


def secret_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of the environment variables whose names sound like a secret."""
    return tuple(
        value for name, value in environ.items() if is_secret_name(name) and _is_value(value)
    )


def is_secret_name(name: str) -> bool:
    """Return True if the name of a field, variable or option sounds like a secret."""
    return _SECRET_NAME.search(name) is not None and _NO_SECRET.search(name) is None


def _is_value(value: Any) -> bool:
    """Return False for what is no secret itself: a reference to one, nothing, a structure."""
    if isinstance(value, str):
        return _NO_VALUE.match(value.strip(" `")) is None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_secret_option(item: Any) -> bool:
    is_option = isinstance(item, str) and item.startswith("-") and "=" not in item
    return is_option and is_secret_name(item)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return _NO_JSON


def _without_named_values(text: str) -> str:
    """Remove the values whose names sound like a secret."""
    text = _HEADER.sub(_without_header, text)
    text = _BLOCK.sub(rf"\1\2{SECRET}\n", text)
    for pattern in (_ASSIGNMENT, _OPTION):
        text = pattern.sub(_without_value, text)
    return text


def _without_header(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2] or ''}{SECRET}"


def _without_value(found: re.Match[str]) -> str:
    if not is_secret_name(found["name"]) or not _is_value(found["value"]):
        return found[0]
    quote = found.groupdict().get("quote") or ""
    return f"{found['name']}{found['is']}{quote}{SECRET}"
