"""JupyterHub's profiles, which must fit the nodes, and its login."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.catalog.addons import addon_catalog
from jarkkit.decisions.addons import hub_address, node_pools
from jarkkit.decisions.addons.enabled_addons import resolve
from jarkkit.decisions.addons.hub_profiles import IMAGES, Profile, profiles
from jarkkit.decisions.addons.templating import render, render_objects
from jarkkit.settings import FAMILIES, Accelerator, Family, Settings
from tests.support.stacks import resolved

HUB = addon_catalog()["jupyterhub"]
EVERY = tuple(Accelerator(family=family) for family in FAMILIES)  # type: ignore[arg-type]
OPEN_ID = {
    "jupyterhub_oidc_issuer": "https://id.example.org",
    "jupyterhub_oidc_client_id": "hub",
    "jupyterhub_oidc_client_secret": "env:HUB_CLIENT_SECRET",
}


def template_context(settings: Settings) -> dict[str, Any]:
    """Return the values of the references in the hub's catalog file."""
    return {
        **{f"settings.{name}": value for name, value in settings.model_dump(mode="json").items()},
        "jupyterhub_profiles": profiles(settings),
        "efs.file_system_id": "fs-1",
        "efs.home_access_point_id": "fsap-1",
        "efs.shared_access_point_id": "fsap-2",
    }


def fits(override: Profile, labels: dict[str, str], taints: list[dict[str, str]]) -> bool:
    """Return whether a pod of the profile may run on nodes with these labels and taints."""
    tolerated = {toleration["key"] for toleration in override.get("tolerations", ())}
    chosen = override.get("node_selector", {})
    return chosen.items() <= labels.items() and {t["key"] for t in taints} <= tolerated


def profile_override(slug: str, settings: Settings) -> Profile:
    (found,) = (p for p in profiles(settings) if p["slug"] == slug)
    override: Profile = found["kubespawner_override"]
    return override


@pytest.mark.parametrize("profile", profiles(Settings(accelerators=EVERY)), ids=lambda p: p["slug"])
def test_every_profile_fits_exactly_one_pool(profile: Profile) -> None:
    found = []
    for pool in node_pools.node_pools(Settings(accelerators=EVERY)):
        template = pool["spec"]["template"]
        labels, taints = template["metadata"]["labels"], template["spec"].get("taints", [])
        if fits(profile["kubespawner_override"], labels, taints):
            found.append(pool["metadata"]["name"])
    assert found == [profile["slug"].removesuffix("-small").removesuffix("-large")]


def test_one_profile_is_the_default_and_names_are_unique() -> None:
    every = profiles(Settings(accelerators=EVERY, static_gpu_nodes=1))
    assert [p["slug"] for p in every if p.get("default")] == ["cpu-small"]
    assert len({p["slug"] for p in every}) == len(every) == len(FAMILIES) + 3


@pytest.mark.parametrize(
    ("family", "resource"), [("g6", "nvidia.com/gpu"), ("inf2", "aws.amazon.com/neuron")]
)
def test_a_profile_requests_its_accelerator_and_tolerates_its_taint(
    family: Family, resource: str
) -> None:
    override = profile_override(family, Settings(accelerators=(Accelerator(family=family),)))
    assert override["extra_resource_limits"] == {resource: "1"}
    assert override["tolerations"] == [node_pools.toleration(family)]
    assert override["image"] == IMAGES[node_pools.accelerator_vendor(family)]


def test_neuron_starts_a_server_that_its_image_lacks() -> None:
    override = profile_override("inf2", Settings(accelerators=(Accelerator(family="inf2"),)))
    script, name = override["cmd"]
    assert override["extra_container_config"]["command"] == ["bash", "-c"]
    assert script.endswith('exec /tmp/server/bin/jupyterhub-singleuser "$@"')
    assert name == "server"


def test_without_karpenter_only_static_nodes_have_profiles() -> None:
    offered = profiles(Settings(karpenter=False, accelerators=(), static_gpu_nodes=1))
    assert [p["slug"] for p in offered] == ["cpu-small", "cpu-large", "static-gpu"]
    assert "node_selector" not in offered[0]["kubespawner_override"]
    gpu = offered[2]["kubespawner_override"]
    labels = {"jarkkit/nodes": "static-gpu", "accelerator": "nvidia"}
    assert fits(gpu, labels, [{"key": "nvidia.com/gpu"}])


def test_images_are_pinned_and_users_are_not_root() -> None:
    assert all(image.rpartition(":")[2] not in ("", "latest") for image in IMAGES.values())
    user = HUB.values["singleuser"]
    default = f"{user['image']['name']}:{user['image']['tag']}"
    assert default == IMAGES["cpu"]
    assert user["uid"] == 1000
    assert "allowPrivilegeEscalation" not in user
    assert user["cloudMetadata"] == {"blockWithIptables": False}


# -- login and storage ---------------------------------------------------------------------------


def hub(settings: Settings) -> dict[str, Any]:
    """Return the hub's values with these settings."""
    filled = render(resolve(HUB, settings, addon_catalog()).values, template_context(settings))
    assert filled["singleuser"]["profileList"] == profiles(settings)
    assert filled["proxy"]["service"] == {"type": "ClusterIP"}
    found: dict[str, Any] = filled["hub"]
    return found


def test_the_password_comes_from_a_secret_and_is_not_in_the_values() -> None:
    settings = Settings()
    found = hub(settings)
    assert found["config"]["JupyterHub"] == {"authenticator_class": "shared-password"}
    (secret,) = resolve(HUB, settings, addon_catalog()).secrets
    reference = found["extraEnv"]["JARKKIT_PASSWORD"]["valueFrom"]["secretKeyRef"]
    assert reference == {"name": secret.name, "key": "password"}
    assert secret.data["password"] == "random"
    assert 'os.environ["JARKKIT_PASSWORD"]' in found["extraConfig"]["login"]


@pytest.mark.parametrize(("kind", "claim"), [("cognito", "username"), ("oidc", "email")])
def test_single_sign_on_reads_its_endpoints_from_the_issuer(kind: Any, claim: str) -> None:
    settings = Settings(jupyterhub_auth=kind, **OPEN_ID)  # type: ignore[arg-type]
    found = hub(settings)
    assert found["config"]["JupyterHub"] == {"authenticator_class": "generic-oauth"}
    assert found["config"]["GenericOAuthenticator"]["username_claim"] == claim
    assert found["extraEnv"]["JARKKIT_ISSUER"] == "https://id.example.org"
    (secret,) = resolve(HUB, settings, addon_catalog()).secrets
    assert secret.data == {"client-secret": "setting:jupyterhub_oidc_client_secret"}
    compile(found["extraConfig"]["login"], "login", "exec")


CERTIFICATE = "arn:aws:acm:us-west-2:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
PUBLIC = {"jupyterhub_domain": "hub.example.com", "jupyterhub_certificate_arn": CERTIFICATE}


@pytest.mark.parametrize("address", [{}, PUBLIC])
def test_the_callback_is_the_address_that_the_provider_must_list(address: dict[str, str]) -> None:
    settings = Settings(jupyterhub_auth="cognito", **OPEN_ID, **address)  # type: ignore[arg-type]
    found = hub(settings)["config"]["GenericOAuthenticator"]["oauth_callback_url"]
    assert found == hub_address.callback_url(settings)
    assert hub_address.local_port(settings) == (0 if address else 8000)


def test_a_public_host_name_gets_an_ingress_with_its_certificate() -> None:
    assert "ingress" not in resolve(HUB, Settings(), addon_catalog()).values
    settings = Settings(**PUBLIC)  # type: ignore[arg-type]
    found = render(resolve(HUB, settings, addon_catalog()).values, template_context(settings))[
        "ingress"
    ]
    assert (found["ingressClassName"], found["hosts"]) == ("alb", ["hub.example.com"])
    assert CERTIFICATE in found["annotations"].values()
    assert resolved(settings).application_load_balancers == 1
    assert resolved(Settings()).application_load_balancers == 0


def test_home_and_shared_folders_are_the_file_system_s_access_points() -> None:
    made = render_objects(
        resolve(HUB, Settings(), addon_catalog()).before, template_context(Settings())
    )
    handles = {
        manifest["metadata"]["name"]: manifest["spec"]["csi"]["volumeHandle"]
        for manifest in made
        if manifest["kind"] == "PersistentVolume"
    }
    assert handles == {"jupyterhub-home": "fs-1::fsap-1", "jupyterhub-shared": "fs-1::fsap-2"}
    claims = {t["spec"]["volumeName"] for t in made if t["kind"] == "PersistentVolumeClaim"}
    assert claims == set(handles)
    (account,) = (t["metadata"]["name"] for t in made if t["kind"] == "ServiceAccount")
    assert HUB.aws is not None
    assert account == HUB.aws.service_account == HUB.values["singleuser"]["serviceAccountName"]
