"""Objects that the cluster layer creates in a cluster."""

from __future__ import annotations

import bcrypt
import pytest

from jarkkit.catalog.addons import Secret
from jarkkit.model.errors import JarkkitError
from jarkkit.settings import Settings
from jarkkit.steps.cluster.cluster_layer import secret_data


def test_a_secret_is_generated_from_its_recipes() -> None:
    recipes = {
        "user": "=admin",
        "password": "random",
        "token": "setting:huggingface_token",
        "users": "=hash: {bcrypt:password}",
    }
    settings = Settings(huggingface_token="env:TOKEN")
    data = secret_data(Secret(name="login", data=recipes), settings, lambda ref: f"<{ref}>")
    assert data["user"] == "admin"
    assert data["token"] == "<env:TOKEN>"
    assert len(data["password"]) == 32
    hashed = data["users"].removeprefix("hash: ").encode()
    assert bcrypt.checkpw(data["password"].encode(), hashed)
    with pytest.raises(JarkkitError, match="JK-ADDON-INVALID"):
        secret_data(Secret(name="login", data={"a": "nonsense"}), settings, str)
