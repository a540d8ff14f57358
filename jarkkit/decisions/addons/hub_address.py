"""The addresses of JupyterHub: on your machine, or a public host name. Pure.

An identity provider sends users back only to addresses that you listed there. Amazon Cognito
accepts HTTP only for `localhost`.
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_CreateUserPoolClient.html
"""

from __future__ import annotations

from jarkkit.settings import Settings

LOCAL_PORT = 8000
"""Port of `jarkkit use open jupyterhub` when an identity provider must know the address."""
_CALLBACK = "/hub/oauth_callback"


def has_identity_provider(settings: Settings) -> bool:
    """Return True if users sign in at Cognito or another OpenID Connect provider."""
    return settings.jupyterhub_auth != "password"


def local_port(settings: Settings) -> int:
    """Return the local port of the hub's web UI; 0 for any free port."""
    fixed = has_identity_provider(settings) and not settings.jupyterhub_domain
    return LOCAL_PORT if fixed else 0


def callback_url(settings: Settings) -> str:
    """Return the callback URL that the identity provider must accept."""
    if settings.jupyterhub_domain:
        return f"https://{settings.jupyterhub_domain}{_CALLBACK}"
    return f"http://localhost:{LOCAL_PORT}{_CALLBACK}"
