"""The entries of the add-on catalog."""

from __future__ import annotations

import yaml

from jarkkit.catalog.addons import addon_catalog


def test_every_add_on_has_a_description_and_a_link() -> None:
    for addon in addon_catalog().values():
        assert addon.what.endswith("."), addon.name
        assert addon.link.startswith("https://"), addon.name


def test_opensearch_has_one_random_password() -> None:
    (secret,) = addon_catalog()["opensearch"].secrets
    assert secret.data["password"] == "random"
    users = yaml.safe_load(secret.data["internal_users.yml"].removeprefix("="))
    assert users["admin"]["hash"] == "{bcrypt:password}"
    assert set(users) == {"_meta", "admin"}
