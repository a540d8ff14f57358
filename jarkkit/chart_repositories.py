"""Where charts are published: repositories with an index, and registries (OCI). Nobody logs in.

An index holds all versions of all charts and is up to 20 MB of YAML; only the part about one chart
is parsed. Formats: https://helm.sh/docs/topics/chart_repository/ and
https://github.com/opencontainers/distribution-spec/blob/main/spec.md.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from jarkkit.addons.catalogue import Chart
from jarkkit.errors import JarkkitError

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is 10 times faster
_ARCHIVE = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_SECONDS = 30.0  # for an answer to begin, or to go on
_TRIES = 3
_LARGEST = 100 * 2**20  # of anything that is read
_BUSY = (429, 500, 502, 503, 504)
_FINAL = (socket.gaierror, ConnectionRefusedError, ssl.SSLCertVerificationError)


@dataclass(frozen=True)
class Sent:
    """An archive and the address that it came from."""

    data: bytes
    url: str


@dataclass
class Repositories:
    """Repositories and registries; an index is fetched once. Safe to use from several threads."""

    _indexes: dict[str, bytes] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, chart: Chart) -> Sent:
        """The archive, checked against the digest that the repository names.

        Raises JK-CHART-PULL, JK-CHART-CHECKSUM.
        """
        if chart.repository.startswith("oci://"):
            return _from_registry(chart.repository.rstrip("/") + f"/{chart.name}", chart.version)
        base = chart.repository.rstrip("/") + "/"
        entry = entry_of(self._index(base), chart.name, chart.version)
        if entry is None:
            raise _failed(chart.repository, f"it has no {chart.name} {chart.version}")
        url = urllib.parse.urljoin(base, entry["urls"][0])
        if url.startswith("oci://"):
            reference, _, tag = url.rpartition(":")
            return _from_registry(reference, tag)
        sent = Sent(_get(url), url)
        _require_digest(sent, str(entry.get("digest") or ""))
        return sent

    def _index(self, base: str) -> bytes:
        with self._lock:
            lock = self._locks.setdefault(base, threading.Lock())
        with lock:
            if base not in self._indexes:
                self._indexes[base] = _get(base + "index.yaml")
            return self._indexes[base]


# -- index -----------------------------------------------------------------------------------------


def entry_of(index: bytes, name: str, version: str) -> dict[str, Any] | None:
    """What an index says of one version of a chart; None when it says nothing."""
    for entries in (_part_of(index, name), None):
        if entries is None:  # not written as Helm writes it: all of it, then
            whole = _load(index)
            found = whole.get("entries") if isinstance(whole, dict) else None
            entries = (found or {}).get(name)
        for entry in entries or ():
            same = str(entry.get("version", "")).removeprefix("v") == version.removeprefix("v")
            if same and entry.get("urls"):
                return dict(entry)
        if entries is not None:
            return None
    return None


def _part_of(index: bytes, name: str) -> list[dict[str, Any]] | None:
    """The versions of a chart, from the lines that are about it as Helm writes them."""
    head = rb"^  (?:%s|\"%s\"|'%s'):[ ]*\n" % ((re.escape(name.encode()),) * 3)
    found = re.search(head + rb"((?:  [- ].*\n|[ ]*\n)+)", index, re.MULTILINE)
    loaded = _load(found[1]) if found else None
    return loaded if isinstance(loaded, list) else None


def _load(text: bytes) -> Any:
    try:
        return yaml.load(text, _LOADER)  # noqa: S506 - a safe one
    except yaml.YAMLError:
        return None


# -- registry --------------------------------------------------------------------------------------


def _from_registry(reference: str, version: str) -> Sent:
    """The archive of `oci://host/path` with that tag; a tag cannot hold a plus."""
    host, _, path = reference.removeprefix("oci://").partition("/")
    scheme = "http" if re.match(r"(127\.0\.0\.1|localhost)(:|$)", host) else "https"
    place = f"{scheme}://{host}/v2/{path}"
    url = f"{place}/manifests/{version.replace('+', '_')}"
    token: dict[str, str] = {}
    try:
        text = _get(url, {"Accept": _MANIFEST})
    except _UnauthorizedError as error:
        token = _anonymous(url, error.challenge)
        text = _get(url, {"Accept": _MANIFEST, **token})
    try:
        layers = [layer for layer in json.loads(text)["layers"] if layer["mediaType"] == _ARCHIVE]
        digest = layers[0]["digest"]
    except (ValueError, KeyError, TypeError, IndexError):
        raise _failed(url, "what it answered is not the manifest of a chart") from None
    sent = Sent(_get(f"{place}/blobs/{digest}", token), f"{reference}:{version}")
    _require_digest(sent, digest)
    return sent


def _anonymous(url: str, challenge: str) -> dict[str, str]:
    """A header with the token that a registry gives to everybody."""
    asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = asked.pop("realm", "")
    if not challenge.lower().startswith("bearer") or not realm:
        raise _failed(url, "it lets nobody in without a login")
    words = {key: asked[key] for key in ("service", "scope") if key in asked}
    answer = json.loads(_get(f"{realm}?{urllib.parse.urlencode(words)}"))
    return {"Authorization": f"Bearer {answer.get('token') or answer.get('access_token')}"}


# -- HTTP ------------------------------------------------------------------------------------------


class _UnauthorizedError(JarkkitError):
    """A registry wants a token first; the challenge says from where."""

    challenge = ""


def _get(url: str, headers: Mapping[str, str] | None = None) -> bytes:
    """What is there; tried again when the other side is busy. Proxies of the environment are used.

    Raises JK-CHART-PULL.
    """
    if not url.startswith(("https://", "http://")):
        raise _failed(url, "only http and https can be read")
    request = urllib.request.Request(url, headers={"User-Agent": "jarkkit"})  # noqa: S310
    for name, value in (headers or {}).items():
        request.add_unredirected_header(name, value)  # a token is not for where a blob lies
    for attempt in range(_TRIES):
        try:
            # A new one each time: `urlopen` would keep the proxies that it saw first.
            with urllib.request.build_opener().open(request, timeout=_SECONDS) as answer:
                return _read(url, answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 401:
                    raise _unauthorized(url, error.headers.get("WWW-Authenticate", "")) from None
                if error.code not in _BUSY or attempt == _TRIES - 1:
                    raise _failed(url, f"HTTP {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            if attempt == _TRIES - 1 or _is_final(error):
                raise _failed(url, str(getattr(error, "reason", error))) from None
        time.sleep(0.5 * 2**attempt)
    raise AssertionError("unreachable")


def _read(url: str, answer: Any) -> bytes:
    data = bytes(answer.read(_LARGEST + 1))
    if len(data) > _LARGEST:
        raise _failed(url, f"it is larger than {_LARGEST >> 20} MiB")
    expected = answer.headers.get("Content-Length")
    if expected and len(data) < int(expected):
        raise OSError("the answer ended too early")
    return data


def _is_final(error: Exception) -> bool:
    """True when trying again at once is in vain: no network, no such host."""
    reason = getattr(error, "reason", error)
    return isinstance(reason, _FINAL)


def _require_digest(sent: Sent, digest: str) -> None:
    wanted = digest.removeprefix("sha256:")
    found = hashlib.sha256(sent.data).hexdigest()
    if wanted and wanted != found:
        raise JarkkitError(
            "JK-CHART-CHECKSUM",
            f"{sent.url} is not the file that its repository names: sha256 {found}, not {wanted}.",
            "Try again later; something on the way, a proxy for instance, may have changed it.",
        )


def _failed(url: str, why: str) -> JarkkitError:
    return JarkkitError("JK-CHART-PULL", f"{url} was not fetched: {why}.", _FIX)


def _unauthorized(url: str, challenge: str) -> _UnauthorizedError:
    error = _UnauthorizedError("JK-CHART-PULL", f"{url} was not fetched: a login is needed.", _FIX)
    error.challenge = challenge
    return error


_FIX = (
    "Look at the network and the proxy (HTTPS_PROXY), then again: jarkkit addons pull. Or put the "
    "archive into the chart cache by hand (jarkkit addons names the folder)."
)
