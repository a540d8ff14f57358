"""The account saved to a file and loaded again, so that a rehearsal survives a restart.

moto keeps everything in Python objects, which are pickled whole. The file is read back only by the
same moto and the same sandbox, from a folder that belongs to the user (mode 0600).
"""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import moto
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.iam.models import AWSManagedPolicy, iam_backends

from jarkkit.errors import JarkkitError
from jarkkit.sandbox.files import write_private

FORMAT = 3


class _Pickler(pickle.Pickler):
    """Knows what pickle does not: locks, which hold no data, and the keys of KMS."""

    def reducer_override(self, thing: Any) -> Any:
        if made := _LOCKS.get(type(thing)):
            return (made, ())
        if isinstance(thing, _KEYS):
            return (_key, (thing.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),))
        return NotImplemented

    def persistent_id(self, thing: Any) -> Any:
        # AWS' own policies are 20 MB of text that moto carries anyway.
        if isinstance(thing, AWSManagedPolicy):
            return (thing.account_id, thing.partition, thing.arn, thing.attachment_count)
        return None


class _Unpickler(pickle.Unpickler):
    """The other way round."""

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


_KEYS: tuple[Any, ...] = get_args(PrivateKeyTypes)
_LOCKS: dict[type, Callable[[], Any]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
    threading.Condition: threading.Condition,
    threading.Event: threading.Event,
}


def save(path: Path, more: dict[str, Any]) -> None:
    """Write the account, and `more` beside it. Nobody may change the account meanwhile."""
    instances: list[Any] = list(vars(BackendDict)["_instances"])
    accounts = {item.service_name: {name: dict(item[name]) for name in item} for item in instances}
    buffer = io.BytesIO()
    header = {"format": FORMAT, "moto": moto.__version__, **more}
    pickle.dump(header, buffer)
    _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(accounts)
    write_private(path, buffer.getvalue())


def load(path: Path) -> dict[str, Any] | None:
    """Put a saved account in place; returns what was saved beside it, None when there is no file.

    Raises JK-SANDBOX-STATE for a file of another release or a damaged one.
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
            "Begin with a fresh account: jarkkit sandbox up --fresh",
            evidence=f"{type(error).__name__}: {error}",
        ) from error
    for service, by_name in accounts.items():
        backends: Any = get_backend(service)
        for account_id, regions in by_name.items():
            for region, backend in regions.items():
                dict.__setitem__(backends[account_id], region, backend)
    return header
