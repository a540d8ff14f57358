"""Volumes: provisions, attaches, expands and deletes EBS volumes and EFS access points for claims.

Simulates the controllers of the two CSI drivers with their sidecars (external-provisioner,
-attacher, -resizer), only while a driver's controller pod is Ready: without it claims stay Pending,
and unclaimed volumes are left behind. The add-ons bring the CSIDriver objects, users bring the
StorageClasses. Kubernetes' own PersistentVolume controller binds, and its attach-detach controller
requests attachments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from moto.core.exceptions import JsonRESTError, ServiceException

from jarkkit.sandbox.account_backends import Backends
from jarkkit.sandbox.controllers import kubernetes_events
from jarkkit.sandbox.controllers import volume_model as model
from jarkkit.sandbox.controllers.backoff import Backoff
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.controllers.kubernetes_events import EventContent
from jarkkit.sandbox.controllers.objects import NODES, PODS, instance_id_of, tags_argument
from jarkkit.sandbox.controllers.volume_model import (
    EBS,
    EFS,
    CsiDriverError,
    ProvisionedVolume,
    VolumeRequest,
)
from jarkkit.sandbox.kubernetes.api import ApiError, Object
from jarkkit.sandbox.kubernetes.informer import Informer

CLAIMS = "/api/v1/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
STORAGE_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
ATTACHMENTS = "/apis/storage.k8s.io/v1/volumeattachments"
_APPS = {EBS: "ebs-csi-controller", EFS: "efs-csi-controller"}
_AWS_ERRORS = (ServiceException, JsonRESTError)


class VolumeController(Controller):
    """Reconciles the account's volumes with the cluster's claims."""

    name = "volumes"
    rest = 0.3  # every change of a pod triggers a run

    def start(self) -> None:
        """Start, with no failures recorded."""
        self._backoff = Backoff()
        super().start()

    def watched(self) -> tuple[Informer, ...]:
        """Return informers of claims, volumes, attachments and what these depend on."""
        paths = (CLAIMS, VOLUMES, STORAGE_CLASSES, ATTACHMENTS, NODES, PODS)
        return tuple(self.cluster.informer(path) for path in paths)

    def reconcile(self) -> float | None:
        """Do the work of each driver whose controller pod is Ready."""
        work: dict[str, Callable[[], None]] = {}
        for driver in (EBS, EFS):
            if self._is_up(driver):
                work.update(self._work(driver))
        self._backoff.retain(work)
        for key, what in work.items():
            self._try(key, what)
        return self._backoff.seconds_until_retry()

    def _is_up(self, driver: str) -> bool:
        return self.cluster.has_ready_pod("kube-system", {"app": _APPS[driver]})

    def _work(self, driver: str) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield the tasks of a driver, each with a key."""
        for claim, storage_class in self._claims(driver):
            key = f"provision {claim['metadata']['uid']}"
            yield key, partial(self._provision, claim, storage_class)
        for volume in self._volumes(driver):
            key = f"delete {volume['metadata']['uid']}"
            if _is_released(volume):
                yield key, partial(self._delete, volume)
        if driver == EBS:
            yield from self._attachments()
            yield from self._expansions()

    def _try(self, key: str, what: Callable[[], None]) -> None:
        if not self._backoff.is_due(key):
            return
        try:
            what()
            self._backoff.record_success(key)
        except CsiDriverError:  # an event reports it
            self._backoff.record_failure(key)
        except ApiError as error:
            self.cluster.log(f"{self.name}: {key}: {error}")
            self._backoff.record_failure(key)

    def _all(self, path: str) -> list[Object]:
        return self.cluster.informer(path).all()

    def _volumes(self, driver: str) -> list[Object]:
        """Return the driver's volumes, manually created ones too: their reclaim policy counts."""
        return [v for v in self._all(VOLUMES) if v["spec"].get("csi", {}).get("driver") == driver]

    # -- external-provisioner --------------------------------------------------------------------

    def _claims(self, driver: str) -> Iterator[tuple[Object, Object]]:
        volumes = self.cluster.informer(VOLUMES)
        for claim in self._all(CLAIMS):
            name = claim["spec"].get("storageClassName", "")
            storage_class = self.cluster.informer(STORAGE_CLASSES).find(name)
            if (
                storage_class
                and storage_class["provisioner"] == driver
                and model.needs_provisioning(claim, storage_class, driver)
                and not volumes.find(f"pvc-{claim['metadata']['uid']}")
            ):
                yield claim, storage_class

    def _provision(self, claim: Object, storage_class: Object) -> None:
        driver = storage_class["provisioner"]
        key = f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
        self._record_claim_event(
            claim,
            driver,
            "Provisioning",
            f'External provisioner is provisioning volume for claim "{key}"',
        )
        try:
            request, made = self._make(claim, storage_class)
        except CsiDriverError as error:
            name = storage_class["metadata"]["name"]
            message = f'failed to provision volume with StorageClass "{name}": {error}'
            self._record_claim_event(claim, driver, "ProvisioningFailed", message, warn=True)
            if error.reschedule:
                self._ask_for_another_node(claim)
            raise
        volume = model.persistent_volume(request, made, claim, storage_class)
        try:
            self.cluster.api.create(VOLUMES, volume)
        except ApiError as error:
            if error.status != 409:
                raise
        self._record_claim_event(
            claim,
            driver,
            "ProvisioningSucceeded",
            f"Successfully provisioned volume {request.name}",
        )

    def _make(
        self, claim: Object, storage_class: Object
    ) -> tuple[VolumeRequest, ProvisionedVolume]:
        """Provision the volume in the account. Raises CsiDriverError."""
        if storage_class["provisioner"] == EFS:
            request = model.volume_request(claim, storage_class, zone="")
            with self.cluster.change_account() as aws:
                return request, create_access_point(aws, request)
        nodes = {node["metadata"]["name"]: node for node in self._all(NODES)}
        request = model.volume_request(
            claim, storage_class, model.zone_for(claim, storage_class, nodes)
        )
        extra_tags = self._extra_tags()
        with self.cluster.change_account() as aws:
            return request, create_volume(aws, request, self.cluster.name, extra_tags)

    def _extra_tags(self) -> dict[str, str]:
        pod = self.cluster.find_ready_pod("kube-system", {"app": _APPS[EBS]})
        return tags_argument(pod, "--extra-tags") if pod else {}

    def _ask_for_another_node(self, claim: Object) -> None:
        change = {"metadata": {"annotations": {model.SELECTED_NODE: None}}}
        self.cluster.api.patch(_path(claim, "persistentvolumeclaims"), change)

    def _delete(self, volume: Object) -> None:
        meta = volume["metadata"]
        try:
            self._check_detached(volume)
            with self.cluster.change_account() as aws:
                delete_volume(aws, volume["spec"]["csi"]["volumeHandle"])
        except CsiDriverError as error:
            about = {"apiVersion": "v1", "kind": "PersistentVolume", **volume}
            source = volume["spec"]["csi"]["driver"]
            content = EventContent("Warning", "VolumeFailedDelete", str(error), source)
            kubernetes_events.record_event(self.cluster.api, about, content)
            raise
        self.cluster.api.delete(f"{VOLUMES}/{meta['name']}")
        self._drop_finalizer(f"{VOLUMES}/{meta['name']}", model.PROVISIONER_FINALIZER)

    def _check_detached(self, volume: Object) -> None:
        name = volume["metadata"]["name"]
        for attachment in self._attachments_of(name):
            node = attachment["spec"]["nodeName"]
            raise CsiDriverError("", f"persistentvolume {name} is still attached to node {node}")

    # -- external-attacher -----------------------------------------------------------------------

    def _attachments_of(self, volume: str) -> list[Object]:
        return [a for a in self._all(ATTACHMENTS) if _volume_of(a) == volume]

    def _attachments(self) -> Iterator[tuple[str, Callable[[], None]]]:
        for attachment in self._all(ATTACHMENTS):
            if attachment["spec"]["attacher"] != EBS:
                continue
            meta = attachment["metadata"]
            key = f"attachment {meta['uid']}"
            if "deletionTimestamp" in meta:
                if model.ATTACHER_FINALIZER in meta.get("finalizers", ()):
                    yield key, partial(self._detach, attachment)
            elif not attachment.get("status", {}).get("attached"):
                yield key, partial(self._attach, attachment)
        for volume in self._all(VOLUMES):
            meta = volume["metadata"]
            held = model.ATTACHER_FINALIZER in meta.get("finalizers", ())
            if held and "deletionTimestamp" in meta and not self._attachments_of(meta["name"]):
                path = f"{VOLUMES}/{meta['name']}"
                key = f"release {meta['uid']}"
                yield key, partial(self._drop_finalizer, path, model.ATTACHER_FINALIZER)

    def _attach(self, attachment: Object) -> None:
        path = f"{ATTACHMENTS}/{attachment['metadata']['name']}"
        try:
            handle, instance = self._ends_of(attachment)
            self._add_finalizer(f"{VOLUMES}/{_volume_of(attachment)}")
            self._add_finalizer(path, {"csi.alpha.kubernetes.io/node-id": instance})
            with self.cluster.change_account() as aws:
                device = attach(aws, handle, instance)
        except CsiDriverError as error:
            failed = {"attachError": {"message": str(error)}}
            self.cluster.api.patch(f"{path}/status", {"status": {"attached": False, **failed}})
            raise
        done = {"attached": True, "attachmentMetadata": {"devicePath": device}, "attachError": None}
        self.cluster.api.patch(f"{path}/status", {"status": done})

    def _ends_of(self, attachment: Object) -> tuple[str, str]:
        """Return volume handle and instance id. Raises CsiDriverError."""
        volume = self.cluster.informer(VOLUMES).find(_volume_of(attachment))
        if volume is None:
            name = _volume_of(attachment)
            raise CsiDriverError("", f'persistentvolume "{name}" not found')
        node = self.cluster.informer(NODES).find(attachment["spec"]["nodeName"])
        if node is None or not instance_id_of(node):
            name = attachment["spec"]["nodeName"]
            raise CsiDriverError("", f"node {name} has no NodeID annotation")
        return volume["spec"]["csi"]["volumeHandle"], instance_id_of(node)

    def _detach(self, attachment: Object) -> None:
        path = f"{ATTACHMENTS}/{attachment['metadata']['name']}"
        instance = (
            attachment["metadata"].get("annotations", {}).get("csi.alpha.kubernetes.io/node-id", "")
        )
        volume = self.cluster.informer(VOLUMES).find(_volume_of(attachment))
        if volume is not None:
            with self.cluster.change_account() as aws:
                detach(aws, volume["spec"]["csi"]["volumeHandle"], instance)
        self._drop_finalizer(path, model.ATTACHER_FINALIZER)

    # -- external-resizer ------------------------------------------------------------------------

    def _expansions(self) -> Iterator[tuple[str, Callable[[], None]]]:
        volumes = self.cluster.informer(VOLUMES)
        for claim in self._all(CLAIMS):
            volume = volumes.find(claim["spec"].get("volumeName", ""))
            if volume is None or volume["spec"].get("csi", {}).get("driver") != EBS:
                continue
            has = claim.get("status", {}).get("capacity", {}).get("storage")
            wants = claim["spec"]["resources"]["requests"]["storage"]
            if has and model.quantity_bytes(wants) > model.quantity_bytes(has):
                key = f"expand {claim['metadata']['uid']}"
                yield key, partial(self._expand, claim, volume)

    def _expand(self, claim: Object, volume: Object) -> None:
        name, handle = volume["metadata"]["name"], volume["spec"]["csi"]["volumeHandle"]
        size = model.bytes_to_gib(
            model.quantity_bytes(claim["spec"]["resources"]["requests"]["storage"])
        )
        message = f"External resizer is resizing volume {name}"
        self._record_claim_event(claim, EBS, "Resizing", message)
        try:
            with self.cluster.change_account() as aws:
                expand(aws, handle, size)
        except CsiDriverError as error:
            message = f'resize volume "{name}" by resizer "{EBS}" failed: {error}'
            self._record_claim_event(claim, EBS, "VolumeResizeFailed", message, warn=True)
            raise
        capacity = {"capacity": {"storage": f"{size}Gi"}}
        self.cluster.api.patch(f"{VOLUMES}/{name}", {"spec": capacity})
        # A kubelet would grow the file system; there is none to wait for.
        path = _path(claim, "persistentvolumeclaims")
        self.cluster.api.patch(f"{path}/status", {"status": capacity})

    # -- Kubernetes ------------------------------------------------------------------------------

    def _record_claim_event(
        self, claim: Object, driver: str, reason: str, message: str, *, warn: bool = False
    ) -> None:
        about = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim}
        content = EventContent("Warning" if warn else "Normal", reason, message, driver)
        kubernetes_events.record_event(self.cluster.api, about, content)

    def _add_finalizer(self, path: str, notes: dict[str, str] | None = None) -> None:
        obj = self.cluster.api.get(path)
        has = obj["metadata"].get("finalizers", [])
        if model.ATTACHER_FINALIZER not in has and "deletionTimestamp" not in obj["metadata"]:
            self._set_finalizers(path, obj, [*has, model.ATTACHER_FINALIZER], notes)

    def _drop_finalizer(self, path: str, finalizer: str) -> None:
        obj = self.cluster.api.find(path)
        if obj is not None and finalizer in obj["metadata"].get("finalizers", ()):
            left = [name for name in obj["metadata"]["finalizers"] if name != finalizer]
            self._set_finalizers(path, obj, left)

    def _set_finalizers(
        self, path: str, obj: Object, desired: list[str], notes: dict[str, str] | None = None
    ) -> None:
        """Set finalizers. The API server answers 409 when another client changed the object."""
        version = obj["metadata"]["resourceVersion"]
        meta = {"resourceVersion": version, "finalizers": desired, "annotations": notes or {}}
        self.cluster.api.patch(path, {"metadata": meta})


def _is_released(volume: Object) -> bool:
    """Return True for a volume that lost its claim and has reclaim policy Delete."""
    meta = volume["metadata"]
    held = model.PROVISIONER_FINALIZER in meta.get("finalizers", ())
    return (
        volume.get("status", {}).get("phase") == "Released"
        and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        and (held or "deletionTimestamp" not in meta)
    )


def _volume_of(attachment: Object) -> str:
    return str(attachment["spec"]["source"].get("persistentVolumeName", ""))


def _path(obj: Object, plural: str) -> str:
    meta = obj["metadata"]
    return f"/api/v1/namespaces/{meta['namespace']}/{plural}/{meta['name']}"


# -- the account (call with its lock held) ---------------------------------------------------------


def create_volume(
    aws: Backends, request: VolumeRequest, cluster: str, extra_tags: Mapping[str, str]
) -> ProvisionedVolume:
    """Create the requested EBS volume unless its tag is found. Raises CsiDriverError."""
    arguments = model.create_volume_args(request)
    found = aws.ec2.describe_volumes(filters={"tag:CSIVolumeName": [request.name]})
    if not found:
        try:
            made = aws.ec2.create_volume(**arguments)
        except _AWS_ERRORS as error:
            words = _words("EC2", "CreateVolume", error)
            raise model.ec2_create_error(request, _code(error), words) from error
        made.add_tags({**model.ebs_tags(request, cluster), **extra_tags})
        found = [made]
    return ProvisionedVolume(found[0].id, int(found[0].size) * 2**30, found[0].zone.name)


def create_access_point(aws: Backends, request: VolumeRequest) -> ProvisionedVolume:
    """Create the requested EFS access point unless its token is found. Raises CsiDriverError."""
    system = request.parameters.get("fileSystemId", "")
    points = [p for p in aws.efs.access_points.values() if p.file_system_id == system]
    arguments = model.create_access_point_args(
        request, [p.posix_user["Gid"] for p in points if p.posix_user]
    )
    if system not in aws.efs.file_systems_by_id:
        raise CsiDriverError(
            "InvalidArgument", "File System does not exist: Resource was not found"
        )
    found = next((p for p in points if p.client_token == request.name), None)
    point = found or aws.efs.create_access_point(**arguments)
    return ProvisionedVolume(f"{system}::{point.access_point_id}", request.size)


def delete_volume(aws: Backends, handle: str) -> None:
    """Delete a volume or an access point; it need not exist. Raises CsiDriverError."""
    system, *parts = handle.split(":")
    try:
        if parts and parts[-1]:
            aws.efs.delete_access_point(parts[-1])
        elif not system.startswith("fs-"):
            aws.ec2.delete_volume(handle)
    except _AWS_ERRORS as error:
        if _code(error) not in ("InvalidVolume.NotFound", "AccessPointNotFound"):
            words = _words("EC2", "DeleteVolume", error)
            raise CsiDriverError(
                "Internal", f'Could not delete volume ID "{handle}": {words}'
            ) from error


def attach(aws: Backends, handle: str, instance_id: str) -> str:
    """Attach a volume to an instance; return the device. Raises CsiDriverError."""
    failed = f'Could not attach volume "{handle}" to node "{instance_id}"'
    try:
        volume = aws.ec2.get_volume(handle)
        if volume.attachment and volume.attachment.instance.id == instance_id:
            return str(volume.attachment.device)
        taken = aws.ec2.get_instance(instance_id).block_device_mapping
        return str(aws.ec2.attach_volume(handle, instance_id, model.free_device_name(taken)).device)
    except _AWS_ERRORS as error:
        words = _words("EC2", "AttachVolume", error)
        raise CsiDriverError("Internal", f"{failed}: {words}") from error


def detach(aws: Backends, handle: str, instance_id: str) -> None:
    """Detach a volume; it need not be attached there."""
    volume: Any = aws.ec2.volumes.get(handle)
    held = volume.attachment if volume else None
    if held and held.instance.id == instance_id:
        aws.ec2.detach_volume(handle, instance_id, held.device)


def expand(aws: Backends, handle: str, size: int) -> None:
    """Grow a volume to that many GiB. Raises CsiDriverError."""
    try:
        if int(aws.ec2.get_volume(handle).size) < size:
            aws.ec2.modify_volume(handle, target_size=size)
    except _AWS_ERRORS as error:
        words = _words("EC2", "ModifyVolume", error)
        raise CsiDriverError("Internal", f'Could not resize volume "{handle}": {words}') from error


def _code(error: Exception) -> str:
    return str(getattr(error, "error_type", None) or getattr(error, "code", ""))


def _words(service: str, operation: str, error: Exception) -> str:
    """Return an error in the wording of AWS' SDK for Go."""
    message = getattr(error, "message", str(error))
    return (
        f"operation error {service}: {operation}, https response error StatusCode: 400, "
        f"api error {_code(error)}: {message}"
    )
