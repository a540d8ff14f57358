"""Anonymous downloads from chart repositories with an index and from OCI registries.

An index contains all versions of all charts, up to 20 MB of YAML; only the part about one chart is
parsed. Formats: https://helm.sh/docs/topics/chart_repository/ and
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
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from jarkkit.catalog.addons import Chart
from jarkkit.model.errors import JarkkitError
from jarkkit.model.polling import poll

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is 10 times faster
_ARCHIVE = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_SECONDS = 30.0  # socket timeout
_TRIES = 3
_LARGEST = 100 * 2**20  # maximum size of a response
_BUSY = (429, 500, 502, 503, 504)
_FINAL = (socket.gaierror, ConnectionRefusedError, ssl.SSLCertVerificationError)


@dataclass(frozen=True)
class DownloadedChart:
    """A downloaded archive and its URL."""

    data: bytes
    url: str


@dataclass
class ChartRepositories:
    """Chart repositories and registries. Thread-safe; each index is downloaded once."""

    _indexes: dict[str, bytes] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, chart: Chart) -> DownloadedChart:
        """Download the archive and verify the digest that the repository publishes.

        Raises JK-CHART-PULL, JK-CHART-CHECKSUM.
        """
        if chart.repository.startswith("oci://"):
            return _from_registry(chart.repository.rstrip("/") + f"/{chart.name}", chart.version)
        base = chart.repository.rstrip("/") + "/"
        entry = index_entry(self._index(base), chart.name, chart.version)
        if entry is None:
            raise _failed(chart.repository, f"it has no {chart.name} {chart.version}")
        url = urllib.parse.urljoin(base, entry["urls"][0])
        if url.startswith("oci://"):
            reference, _, tag = url.rpartition(":")
            return _from_registry(reference, tag)
        sent = DownloadedChart(_get(url), url)
        _require_digest(sent, str(entry.get("digest") or ""))
        return sent

    def versions(self, chart: Chart) -> tuple[str, ...]:
        """Return all versions of the chart that the repository lists. Raises JK-CHART-PULL."""
        if chart.repository.startswith("oci://"):
            return _registry_tags(chart.repository.rstrip("/") + f"/{chart.name}")
        entries = _entries_of(self._index(chart.repository.rstrip("/") + "/"), chart.name)
        return tuple(str(entry.get("version", "")) for entry in entries)

    def _index(self, base: str) -> bytes:
        with self._lock:
            lock = self._locks.setdefault(base, threading.Lock())
        with lock:
            if base not in self._indexes:
                self._indexes[base] = _get(base + "index.yaml")
            return self._indexes[base]


# -- index -----------------------------------------------------------------------------------------


def index_entry(index: bytes, name: str, version: str) -> dict[str, Any] | None:
    """Return the index entry of one chart version, or None."""
    for entry in _entries_of(index, name):
        same = str(entry.get("version", "")).removeprefix("v") == version.removeprefix("v")
        if same and entry.get("urls"):
            return dict(entry)
    return None


def _entries_of(index: bytes, name: str) -> list[dict[str, Any]]:
    """Return the entries of all versions of a chart."""
    part = _part_of(index, name)
    if part is not None:
        return part
    whole = _load(index)  # not in Helm's own format: parse all of it
    found = whole.get("entries") if isinstance(whole, dict) else None
    return list((found or {}).get(name) or ())


def _part_of(index: bytes, name: str) -> list[dict[str, Any]] | None:
    """Return the versions of a chart, from its lines in an index that Helm wrote."""
    head = rb"^  (?:%s|\"%s\"|'%s'):[ ]*\n" % ((re.escape(name.encode()),) * 3)
    found = re.search(head + rb"((?:  [- ].*\n|[ ]*\n)+)", index, re.MULTILINE)
    loaded = _load(found[1]) if found else None
    return loaded if isinstance(loaded, list) else None


def _load(text: bytes) -> Any:
    try:
        return yaml.load(text, _LOADER)  # noqa: S506 - a safe loader
    except yaml.YAMLError:
        return None


# -- registry --------------------------------------------------------------------------------------


def _from_registry(reference: str, version: str) -> DownloadedChart:
    """Download the archive of `oci://host/path` with that tag, in which `_` replaces `+`."""
    base_url = _registry_url(reference)
    url = f"{base_url}/manifests/{version.replace('+', '_')}"
    text, token = _registry_get(url, _MANIFEST)
    try:
        layers = [layer for layer in json.loads(text)["layers"] if layer["mediaType"] == _ARCHIVE]
        digest = layers[0]["digest"]
    except (ValueError, KeyError, TypeError, IndexError):
        raise _failed(url, "the response is not the manifest of a chart") from None
    sent = DownloadedChart(_get(f"{base_url}/blobs/{digest}", token), f"{reference}:{version}")
    _require_digest(sent, digest)
    return sent


def _registry_tags(reference: str) -> tuple[str, ...]:
    """Return the versions of `oci://host/path`: its tags, of which the registry lists 1000."""
    url = f"{_registry_url(reference)}/tags/list?n=1000"
    text, _ = _registry_get(url, "application/json")
    try:
        return tuple(str(tag).replace("_", "+") for tag in json.loads(text)["tags"] or ())
    except (ValueError, KeyError, TypeError):
        raise _failed(url, "the response is not a list of tags") from None


def _registry_url(reference: str) -> str:
    host, _, path = reference.removeprefix("oci://").partition("/")
    scheme = "http" if re.match(r"(127\.0\.0\.1|localhost)(:|$)", host) else "https"
    return f"{scheme}://{host}/v2/{path}"


def _registry_get(url: str, accept: str) -> tuple[bytes, dict[str, str]]:
    """Return the content and the header with the anonymous token, if the registry requires one."""
    try:
        return _get(url, {"Accept": accept}), {}
    except _UnauthorizedError as error:
        token = _anonymous(url, error.challenge)
    return _get(url, {"Accept": accept, **token}), token


def _anonymous(url: str, challenge: str) -> dict[str, str]:
    """Return a header with the registry's anonymous token."""
    parameters = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = parameters.pop("realm", "")
    if not challenge.lower().startswith("bearer") or not realm:
        raise _failed(url, "it requires a login")
    words = {key: parameters[key] for key in ("service", "scope") if key in parameters}
    answer = json.loads(_get(f"{realm}?{urllib.parse.urlencode(words)}"))
    return {"Authorization": f"Bearer {answer.get('token') or answer.get('access_token')}"}


# -- HTTP ------------------------------------------------------------------------------------------


class _UnauthorizedError(JarkkitError):
    """The registry requires a token; the challenge names the token server."""

    challenge = ""


def _get(url: str, headers: Mapping[str, str] | None = None) -> bytes:
    """Return the content of the URL, with retries, through the environment's proxies.

    Raises JK-CHART-PULL.
    """
    if not url.startswith(("https://", "http://")):
        raise _failed(url, "only http and https are supported")
    request = urllib.request.Request(url, headers={"User-Agent": "jarkkit"})  # noqa: S310
    for name, value in (headers or {}).items():
        # Do not send the token to a redirect target (blobs).
        request.add_unredirected_header(name, value)
    for attempt, _ in enumerate(poll(0.5, attempts=_TRIES, growth=2.0), 1):
        try:
            # A new opener each time: `urlopen` caches the proxies of its first call.
            with urllib.request.build_opener().open(request, timeout=_SECONDS) as answer:
                return _read(url, answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 401:
                    raise _unauthorized(url, error.headers.get("WWW-Authenticate", "")) from None
                if error.code not in _BUSY or attempt == _TRIES:
                    raise _failed(url, f"HTTP {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            if attempt == _TRIES or _is_final(error):
                raise _failed(url, str(getattr(error, "reason", error))) from None
    raise AssertionError("unreachable")


def _read(url: str, answer: Any) -> bytes:
    data = bytes(answer.read(_LARGEST + 1))
    if len(data) > _LARGEST:
        raise _failed(url, f"it is larger than {_LARGEST >> 20} MiB")
    expected = answer.headers.get("Content-Length")
    if expected and len(data) < int(expected):
        raise OSError("the response is incomplete")
    return data


def _is_final(error: Exception) -> bool:
    """Return True if an immediate retry cannot help: no network, unknown host."""
    reason = getattr(error, "reason", error)
    return isinstance(reason, _FINAL)


def _require_digest(sent: DownloadedChart, digest: str) -> None:
    expected = digest.removeprefix("sha256:")
    found = hashlib.sha256(sent.data).hexdigest()
    if expected and expected != found:
        raise JarkkitError(
            "JK-CHART-CHECKSUM",
            f"{sent.url} does not match its repository's digest: sha256 {found}, not {expected}.",
            "Try again later; a proxy may have changed the file.",
        )


def _failed(url: str, why: str) -> JarkkitError:
    return JarkkitError("JK-CHART-PULL", f"Cannot download {url}: {why}.", _FIX)


def _unauthorized(url: str, challenge: str) -> _UnauthorizedError:
    error = _UnauthorizedError(
        "JK-CHART-PULL", f"Cannot download {url}: it requires a login.", _FIX
    )
    error.challenge = challenge
    return error


_FIX = (
    "Check your network and proxy (HTTPS_PROXY), then try again: jarkkit addons pull. Or copy the "
    "archive into the chart cache yourself (jarkkit addons shows the folder)."
)
