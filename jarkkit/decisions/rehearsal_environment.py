"""The environment of a rehearsal's AWS calls: nothing of the user's AWS configuration. Pure.

One AWS variable or one line of a configuration file can send a call to the real AWS even though
AWS_ENDPOINT_URL names the sandbox: AWS_ENDPOINT_URL_EC2, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS,
`services` in a profile (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

# Nothing listens on this port: a rehearsal without its sandbox must never reach a real account.
NO_SANDBOX_ENDPOINT = "http://127.0.0.1:9"
_NO_SANDBOX = {
    "AWS_ENDPOINT_URL": NO_SANDBOX_ENDPOINT,
    "AWS_ACCESS_KEY_ID": "rehearsal",
    "AWS_SECRET_ACCESS_KEY": "rehearsal",
}
# The SDKs then read no profile, no login and no metadata service.
_NO_CONFIGURATION = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
# What a shell has of a sandbox after `eval "$(jarkkit sandbox env)"`.
_OF_A_SANDBOX = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def is_loopback(url: str | None) -> bool:
    """Return True for an address on this machine."""
    return urlsplit(url or "").hostname in ("127.0.0.1", "localhost", "::1")


def names_a_sandbox(environ: Mapping[str, str]) -> bool:
    """Return True if the environment's AWS calls reach a sandbox, which is always on loopback."""
    return is_loopback(environ.get("AWS_ENDPOINT_URL"))


def rehearsal_environment(
    environ: Mapping[str, str], sandbox: Mapping[str, str] | None
) -> dict[str, str]:
    """Return the environment without AWS variables other than the sandbox's.

    Args:
        environ: the user's. If it names a sandbox, that one is used.
        sandbox: variables of the deployment's running sandbox; None if none is running.
    """
    if names_a_sandbox(environ):
        chosen = {name: environ.get(name, "") for name in _OF_A_SANDBOX}
    else:
        chosen = dict(_NO_SANDBOX if sandbox is None else sandbox)
    kept = {name: value for name, value in environ.items() if not name.startswith("AWS_")}
    # Some tools treat an empty profile or token as a value.
    given = {name: value for name, value in chosen.items() if value or not name.startswith("AWS_")}
    return {**kept, **given, **_NO_CONFIGURATION}
