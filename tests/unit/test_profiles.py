"""What JupyterHub offers: it must fit the nodes that there are."""

from __future__ import annotations

from typing import Any

import pytest

from jarkkit.addons import pools
from jarkkit.addons.catalogue import catalogue
from jarkkit.addons.choice import objects, secrets, values
from jarkkit.addons.profiles import IMAGES, Profile, profiles
from jarkkit.addons.words import fill, fill_objects
from jarkkit.settings import FAMILIES, Accelerator, Family, Settings

HUB = catalogue()["jupyterhub"]
EVERY = tuple(Accelerator(family=family) for family in FAMILIES)  # type: ignore[arg-type]
OPEN_ID = {
    "jupyterhub_oidc_issuer": "https://id.example.org",
    "jupyterhub_oidc_client_id": "hub",
    "jupyterhub_oidc_client_secret": "env:HUB_CLIENT_SECRET",
}


def meaning(settings: Settings) -> dict[str, Any]:
    """What the hub's file refers to."""
    return {
        **{f"settings.{name}": value for name, value in settings.model_dump(mode="json").items()},
        "jupyterhub_profiles": profiles(settings),
        "efs.file_system_id": "fs-1",
        "efs.home_access_point_id": "fsap-1",
        "efs.shared_access_point_id": "fsap-2",
    }


def fits(override: Profile, labels: dict[str, str], taints: list[dict[str, str]]) -> bool:
    """Whether a pod of the profile may go to nodes with these labels and taints."""
    tolerated = {toleration["key"] for toleration in override.get("tolerations", ())}
    chosen = override.get("node_selector", {})
    return chosen.items() <= labels.items() and {t["key"] for t in taints} <= tolerated


def chosen(slug: str, settings: Settings) -> Profile:
    (found,) = (p for p in profiles(settings) if p["slug"] == slug)
    override: Profile = found["kubespawner_override"]
    return override


@pytest.mark.parametrize("profile", profiles(Settings(accelerators=EVERY)), ids=lambda p: p["slug"])
def test_every_profile_fits_exactly_one_pool(profile: Profile) -> None:
    found = []
    for pool in pools.node_pools(Settings(accelerators=EVERY)):
        template = pool["spec"]["template"]
        labels, taints = template["metadata"]["labels"], template["spec"].get("taints", [])
        if fits(profile["kubespawner_override"], labels, taints):
            found.append(pool["metadata"]["name"])
    assert found == [profile["slug"].removesuffix("-small").removesuffix("-large")]


def test_one_is_chosen_beforehand_and_names_are_unique() -> None:
    every = profiles(Settings(accelerators=EVERY, static_gpu_nodes=1))
    assert [p["slug"] for p in every if p.get("default")] == ["cpu-small"]
    assert len({p["slug"] for p in every}) == len(every) == len(FAMILIES) + 3


@pytest.mark.parametrize(
    ("family", "resource"), [("g6", "nvidia.com/gpu"), ("inf2", "aws.amazon.com/neuron")]
)
def test_an_accelerator_is_asked_for_and_its_taint_tolerated(family: Family, resource: str) -> None:
    override = chosen(family, Settings(accelerators=(Accelerator(family=family),)))
    assert override["extra_resource_limits"] == {resource: "1"}
    assert override["tolerations"] == [pools.toleration(family)]
    assert override["image"] == IMAGES[pools.maker(family)]


def test_neuron_starts_the_server_that_its_image_lacks_as_the_hub_speaks_it() -> None:
    override = chosen("inf2", Settings(accelerators=(Accelerator(family="inf2"),)))
    script, name = override["cmd"]
    assert override["extra_container_config"]["command"] == ["bash", "-c"]
    assert script.endswith('exec /tmp/server/bin/jupyterhub-singleuser "$@"')
    assert name == "server"


def test_without_karpenter_only_nodes_that_always_run_are_offered() -> None:
    offered = profiles(Settings(karpenter=False, accelerators=(), static_gpu_nodes=1))
    assert [p["slug"] for p in offered] == ["cpu-small", "cpu-large", "static-gpu"]
    assert "node_selector" not in offered[0]["kubespawner_override"]
    gpu = offered[2]["kubespawner_override"]
    labels = {"jarkkit/nodes": "static-gpu", "accelerator": "nvidia"}
    assert fits(gpu, labels, [{"key": "nvidia.com/gpu"}])


def test_images_are_pinned_and_nobody_is_root() -> None:
    assert all(image.rpartition(":")[2] not in ("", "latest") for image in IMAGES.values())
    user = HUB.values["singleuser"]
    default = f"{user['image']['name']}:{user['image']['tag']}"
    assert default == IMAGES["cpu"]
    assert user["uid"] == 1000
    assert "allowPrivilegeEscalation" not in user
    assert user["cloudMetadata"] == {"blockWithIptables": False}


# -- who may come in ---------------------------------------------------------------------------


def hub(settings: Settings) -> dict[str, Any]:
    """The hub's values with these settings."""
    filled = fill(values(HUB, settings), meaning(settings))
    assert filled["singleuser"]["profileList"] == profiles(settings)
    assert filled["proxy"]["service"] == {"type": "ClusterIP"}
    found: dict[str, Any] = filled["hub"]
    return found


def test_the_password_comes_from_a_secret_and_is_not_among_the_values() -> None:
    settings = Settings()
    found = hub(settings)
    assert found["config"]["JupyterHub"] == {"authenticator_class": "shared-password"}
    (secret,) = secrets(HUB, settings)
    reference = found["extraEnv"]["JARKKIT_PASSWORD"]["valueFrom"]["secretKeyRef"]
    assert reference == {"name": secret.name, "key": "password"}
    assert secret.data["password"] == "random"
    assert 'os.environ["JARKKIT_PASSWORD"]' in found["extraConfig"]["login"]


@pytest.mark.parametrize(("kind", "claim"), [("cognito", "username"), ("oidc", "email")])
def test_single_sign_on_takes_its_endpoints_from_the_issuer(kind: Any, claim: str) -> None:
    settings = Settings(jupyterhub_auth=kind, **OPEN_ID)  # type: ignore[arg-type]
    found = hub(settings)
    assert found["config"]["JupyterHub"] == {"authenticator_class": "generic-oauth"}
    assert found["config"]["GenericOAuthenticator"]["username_claim"] == claim
    assert found["extraEnv"]["JARKKIT_ISSUER"] == "https://id.example.org"
    (secret,) = secrets(HUB, settings)
    assert secret.data == {"client-secret": "setting:jupyterhub_oidc_client_secret"}
    compile(found["extraConfig"]["login"], "login", "exec")


def test_home_and_shared_folders_are_the_file_system_s_access_points() -> None:
    made = fill_objects(objects(HUB, Settings(), "before"), meaning(Settings()))
    handles = {
        thing["metadata"]["name"]: thing["spec"]["csi"]["volumeHandle"]
        for thing in made
        if thing["kind"] == "PersistentVolume"
    }
    assert handles == {"jupyterhub-home": "fs-1::fsap-1", "jupyterhub-shared": "fs-1::fsap-2"}
    claims = {t["spec"]["volumeName"] for t in made if t["kind"] == "PersistentVolumeClaim"}
    assert claims == set(handles)
    (account,) = (t["metadata"]["name"] for t in made if t["kind"] == "ServiceAccount")
    assert HUB.aws is not None
    assert account == HUB.aws.service_account == HUB.values["singleuser"]["serviceAccountName"]
