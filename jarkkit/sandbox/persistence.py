"""Saves the account to a file and loads it again, so that a rehearsal survives a restart.

moto keeps everything in Python objects, which are pickled as a whole. Only the same moto and the
same sandbox load the file, from a folder that belongs to the user (mode 0600).
"""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import moto
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.iam.models import AWSManagedPolicy, iam_backends

from jarkkit.model.errors import JarkkitError
from jarkkit.sandbox.private_files import write_private

FORMAT = 4


class _Pickler(pickle.Pickler):
    """A pickler that also handles locks, which hold no data, keys and certificates."""

    def reducer_override(self, obj: Any) -> Any:
        if made := _LOCKS.get(type(obj)):
            return (made, ())
        if isinstance(obj, _KEYS):
            return (_key, (obj.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),))
        if isinstance(obj, x509.Certificate):
            return (_certificate, (obj.public_bytes(Encoding.DER),))
        return NotImplemented

    def persistent_id(self, obj: Any) -> Any:
        # AWS' own policies are 20 MB of text that moto ships anyway.
        if isinstance(obj, AWSManagedPolicy):
            return (obj.account_id, obj.partition, obj.arn, obj.attachment_count)
        return None


class _Unpickler(pickle.Unpickler):
    """The counterpart of the pickler."""

    def persistent_load(self, known: Any) -> Any:
        account_id, partition, arn, attachments = known
        iam: Any = iam_backends[account_id][partition]
        policy = iam.managed_policies[arn]
        policy.attachment_count = attachments
        return policy


def _check(header: dict[str, Any]) -> None:
    if (header["format"], header["moto"]) != (FORMAT, moto.__version__):
        raise ValueError(f"saved by moto {header['moto']}, format {header['format']}")


def _key(der: bytes) -> Any:
    return serialization.load_der_private_key(der, None)


def _certificate(der: bytes) -> Any:
    return x509.load_der_x509_certificate(der)


_KEYS: tuple[Any, ...] = get_args(PrivateKeyTypes)
_LOCKS: dict[type, Callable[[], Any]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
    threading.Condition: threading.Condition,
    threading.Event: threading.Event,
}


def save(path: Path, extra: dict[str, Any]) -> None:
    """Save the account and the extra data. The caller must prevent changes meanwhile."""
    instances: list[Any] = list(vars(BackendDict)["_instances"])
    accounts = {item.service_name: {name: dict(item[name]) for name in item} for item in instances}
    buffer = io.BytesIO()
    header = {"format": FORMAT, "moto": moto.__version__, **extra}
    pickle.dump(header, buffer)
    _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(accounts)
    write_private(path, buffer.getvalue())


def load(path: Path) -> dict[str, Any] | None:
    """Load a saved account and return its extra data; None when there is no file.

    Raises JK-SANDBOX-STATE for a file from another release or a damaged file.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            header: dict[str, Any] = pickle.load(file)  # noqa: S301 - our own file, mode 0600
            _check(header)
            accounts = _Unpickler(file).load()
    except Exception as error:  # a damaged pickle may raise anything
        raise JarkkitError(
            "JK-SANDBOX-STATE",
            f"The saved account {path.name} cannot be loaded.",
            "Start with a fresh account: jarkkit sandbox up --fresh",
            evidence=f"{type(error).__name__}: {error}",
        ) from error
    for service, by_name in accounts.items():
        backends: Any = get_backend(service)
        for account_id, regions in by_name.items():
            for region, backend in regions.items():
                dict.__setitem__(backends[account_id], region, backend)
    return header
