"""Volumes: claims become EBS volumes and EFS access points of the account, are attached, and go.

Plays the controllers of the two CSI drivers together with their sidecars (external-provisioner,
-attacher, -resizer), and only while a driver's controller pod is Ready: without it claims stay
Pending, and volumes that nobody wants any more are left behind. CSIDriver objects are the add-ons',
StorageClasses the user's. The PersistentVolume controller that binds, and the attach-detach
controller that asks for attachments, are Kubernetes' own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from moto.core.exceptions import JsonRESTError, ServiceException

from jarkkit.sandbox.backends import Backends
from jarkkit.sandbox.cluster.api import ApiError, Object
from jarkkit.sandbox.cluster.informer import Informer
from jarkkit.sandbox.eks import events
from jarkkit.sandbox.eks import volume_model as model
from jarkkit.sandbox.eks.controller import Controller
from jarkkit.sandbox.eks.events import Said
from jarkkit.sandbox.eks.objects import NODES, PODS
from jarkkit.sandbox.eks.patience import Patience
from jarkkit.sandbox.eks.volume_model import EBS, EFS, Made, Order, RefusedError

CLAIMS = "/api/v1/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
ATTACHMENTS = "/apis/storage.k8s.io/v1/volumeattachments"
_APPS = {EBS: "ebs-csi-controller", EFS: "efs-csi-controller"}
_AWS_ERRORS = (ServiceException, JsonRESTError)


class Volumes(Controller):
    """Keeps the account's volumes as the cluster's claims want them."""

    name = "volumes"
    rest = 0.3  # every change of a pod wakes it

    def start(self) -> None:
        """Begin; nothing has failed yet."""
        self._patience = Patience()
        super().start()

    def watched(self) -> tuple[Informer, ...]:
        """Claims, volumes, attachments, and what decides about them."""
        paths = (CLAIMS, VOLUMES, CLASSES, ATTACHMENTS, NODES, PODS)
        return tuple(self.cluster.informer(path) for path in paths)

    def reconcile(self) -> float | None:
        """Do what each driver whose controller is up has to do."""
        work: dict[str, Callable[[], None]] = {}
        for driver in (EBS, EFS):
            if self._is_up(driver):
                work.update(self._work(driver))
        self._patience.keep(work)
        for key, what in work.items():
            self._try(key, what)
        return self._patience.wait()

    def _is_up(self, driver: str) -> bool:
        return self.cluster.is_up("kube-system", {"app": _APPS[driver]})

    def _work(self, driver: str) -> Iterator[tuple[str, Callable[[], None]]]:
        """What is to be done for a driver, each with a key."""
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
        if not self._patience.due(key):
            return
        try:
            what()
            self._patience.done(key)
        except RefusedError:  # told already
            self._patience.failed(key)
        except ApiError as error:
            self.cluster.log(f"{self.name}: {key}: {error}")
            self._patience.failed(key)

    def _all(self, path: str) -> list[Object]:
        return self.cluster.informer(path).all()

    def _volumes(self, driver: str) -> list[Object]:
        """The driver's; one that somebody made by hand too, with what its policy says of it."""
        return [v for v in self._all(VOLUMES) if v["spec"].get("csi", {}).get("driver") == driver]

    # -- external-provisioner --------------------------------------------------------------------

    def _claims(self, driver: str) -> Iterator[tuple[Object, Object]]:
        volumes = self.cluster.informer(VOLUMES)
        for claim in self._all(CLAIMS):
            name = claim["spec"].get("storageClassName", "")
            storage_class = self.cluster.informer(CLASSES).find(name)
            if (
                storage_class
                and storage_class["provisioner"] == driver
                and model.is_due(claim, storage_class, driver)
                and not volumes.find(f"pvc-{claim['metadata']['uid']}")
            ):
                yield claim, storage_class

    def _provision(self, claim: Object, storage_class: Object) -> None:
        driver = storage_class["provisioner"]
        key = f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
        self._tell_claim(
            claim,
            driver,
            "Provisioning",
            f'External provisioner is provisioning volume for claim "{key}"',
        )
        try:
            order, made = self._make(claim, storage_class)
        except RefusedError as error:
            name = storage_class["metadata"]["name"]
            said = f'failed to provision volume with StorageClass "{name}": {error}'
            self._tell_claim(claim, driver, "ProvisioningFailed", said, warn=True)
            if error.reschedule:
                self._ask_for_another_node(claim)
            raise
        volume = model.persistent_volume(order, made, claim, storage_class)
        try:
            self.cluster.api.create(VOLUMES, volume)
        except ApiError as error:
            if error.status != 409:
                raise
        self._tell_claim(
            claim, driver, "ProvisioningSucceeded", f"Successfully provisioned volume {order.name}"
        )

    def _make(self, claim: Object, storage_class: Object) -> tuple[Order, Made]:
        """The volume in the account. Raises RefusedError."""
        if storage_class["provisioner"] == EFS:
            order = model.order_of(claim, storage_class, zone="")
            with self.cluster.change() as aws:
                return order, make_access_point(aws, order)
        nodes = {node["metadata"]["name"]: node for node in self._all(NODES)}
        order = model.order_of(claim, storage_class, model.zone_for(claim, storage_class, nodes))
        with self.cluster.change() as aws:
            return order, make_volume(aws, order, self.cluster.name)

    def _ask_for_another_node(self, claim: Object) -> None:
        change = {"metadata": {"annotations": {model.SELECTED_NODE: None}}}
        self.cluster.api.patch(_path(claim, "persistentvolumeclaims"), change)

    def _delete(self, volume: Object) -> None:
        meta = volume["metadata"]
        try:
            self._check_detached(volume)
            with self.cluster.change() as aws:
                remove(aws, volume["spec"]["csi"]["volumeHandle"])
        except RefusedError as error:
            about = {"apiVersion": "v1", "kind": "PersistentVolume", **volume}
            source = volume["spec"]["csi"]["driver"]
            said = Said("Warning", "VolumeFailedDelete", str(error), source)
            events.tell(self.cluster.api, about, said)
            raise
        self.cluster.api.delete(f"{VOLUMES}/{meta['name']}")
        self._drop_finalizer(f"{VOLUMES}/{meta['name']}", model.PROVISIONER_FINALIZER)

    def _check_detached(self, volume: Object) -> None:
        name = volume["metadata"]["name"]
        for attachment in self._attachments_of(name):
            node = attachment["spec"]["nodeName"]
            raise RefusedError("", f"persistentvolume {name} is still attached to node {node}")

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
                key = f"let go {meta['uid']}"
                yield key, partial(self._drop_finalizer, path, model.ATTACHER_FINALIZER)

    def _attach(self, attachment: Object) -> None:
        path = f"{ATTACHMENTS}/{attachment['metadata']['name']}"
        try:
            handle, instance = self._ends_of(attachment)
            self._add_finalizer(f"{VOLUMES}/{_volume_of(attachment)}")
            self._add_finalizer(path, {"csi.alpha.kubernetes.io/node-id": instance})
            with self.cluster.change() as aws:
                device = attach(aws, handle, instance)
        except RefusedError as error:
            failed = {"attachError": {"message": str(error)}}
            self.cluster.api.patch(f"{path}/status", {"status": {"attached": False, **failed}})
            raise
        done = {"attached": True, "attachmentMetadata": {"devicePath": device}, "attachError": None}
        self.cluster.api.patch(f"{path}/status", {"status": done})

    def _ends_of(self, attachment: Object) -> tuple[str, str]:
        """Volume and instance. Raises RefusedError."""
        volume = self.cluster.informer(VOLUMES).find(_volume_of(attachment))
        if volume is None:
            name = _volume_of(attachment)
            raise RefusedError("", f'persistentvolume "{name}" not found')
        node = self.cluster.informer(NODES).find(attachment["spec"]["nodeName"])
        if node is None or not model.instance_of(node):
            name = attachment["spec"]["nodeName"]
            raise RefusedError("", f"node {name} has no NodeID annotation")
        return volume["spec"]["csi"]["volumeHandle"], model.instance_of(node)

    def _detach(self, attachment: Object) -> None:
        path = f"{ATTACHMENTS}/{attachment['metadata']['name']}"
        instance = (
            attachment["metadata"].get("annotations", {}).get("csi.alpha.kubernetes.io/node-id", "")
        )
        volume = self.cluster.informer(VOLUMES).find(_volume_of(attachment))
        if volume is not None:
            with self.cluster.change() as aws:
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
            if has and model.bytes_of(wants) > model.bytes_of(has):
                key = f"expand {claim['metadata']['uid']}"
                yield key, partial(self._expand, claim, volume)

    def _expand(self, claim: Object, volume: Object) -> None:
        name, handle = volume["metadata"]["name"], volume["spec"]["csi"]["volumeHandle"]
        size = model.gib_of(model.bytes_of(claim["spec"]["resources"]["requests"]["storage"]))
        said = f"External resizer is resizing volume {name}"
        self._tell_claim(claim, EBS, "Resizing", said)
        try:
            with self.cluster.change() as aws:
                expand(aws, handle, size)
        except RefusedError as error:
            said = f'resize volume "{name}" by resizer "{EBS}" failed: {error}'
            self._tell_claim(claim, EBS, "VolumeResizeFailed", said, warn=True)
            raise
        capacity = {"capacity": {"storage": f"{size}Gi"}}
        self.cluster.api.patch(f"{VOLUMES}/{name}", {"spec": capacity})
        # The file system is a kubelet's to grow; there is none to wait for.
        path = _path(claim, "persistentvolumeclaims")
        self.cluster.api.patch(f"{path}/status", {"status": capacity})

    # -- Kubernetes ------------------------------------------------------------------------------

    def _tell_claim(
        self, claim: Object, driver: str, reason: str, message: str, *, warn: bool = False
    ) -> None:
        about = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim}
        said = Said("Warning" if warn else "Normal", reason, message, driver)
        events.tell(self.cluster.api, about, said)

    def _add_finalizer(self, path: str, notes: dict[str, str] | None = None) -> None:
        thing = self.cluster.api.get(path)
        has = thing["metadata"].get("finalizers", [])
        if model.ATTACHER_FINALIZER not in has and "deletionTimestamp" not in thing["metadata"]:
            self._set_finalizers(path, thing, [*has, model.ATTACHER_FINALIZER], notes)

    def _drop_finalizer(self, path: str, finalizer: str) -> None:
        thing = self.cluster.api.find(path)
        if thing is not None and finalizer in thing["metadata"].get("finalizers", ()):
            left = [name for name in thing["metadata"]["finalizers"] if name != finalizer]
            self._set_finalizers(path, thing, left)

    def _set_finalizers(
        self, path: str, thing: Object, wanted: list[str], notes: dict[str, str] | None = None
    ) -> None:
        """Refused with a conflict when somebody else changed the object meanwhile."""
        version = thing["metadata"]["resourceVersion"]
        meta = {"resourceVersion": version, "finalizers": wanted, "annotations": notes or {}}
        self.cluster.api.patch(path, {"metadata": meta})


def _is_released(volume: Object) -> bool:
    """True for one that nobody claims any more and that is to go with its claim."""
    meta = volume["metadata"]
    held = model.PROVISIONER_FINALIZER in meta.get("finalizers", ())
    return (
        volume.get("status", {}).get("phase") == "Released"
        and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        and (held or "deletionTimestamp" not in meta)
    )


def _volume_of(attachment: Object) -> str:
    return str(attachment["spec"]["source"].get("persistentVolumeName", ""))


def _path(thing: Object, plural: str) -> str:
    meta = thing["metadata"]
    return f"/api/v1/namespaces/{meta['namespace']}/{plural}/{meta['name']}"


# -- the account: call with its lock held ----------------------------------------------------------


def make_volume(aws: Backends, order: Order, cluster: str) -> Made:
    """The EBS volume of that order, found by its tag if it is there. Raises RefusedError."""
    asked = model.ebs_volume(order)
    found = aws.ec2.describe_volumes(filters={"tag:CSIVolumeName": [order.name]})
    if not found:
        try:
            made = aws.ec2.create_volume(**asked)
        except _AWS_ERRORS as error:
            words = _words("EC2", "CreateVolume", error)
            raise model.not_created_in_ec2(order, _code(error), words) from error
        made.add_tags(model.ebs_tags(order, cluster))
        found = [made]
    return Made(found[0].id, int(found[0].size) * 2**30, found[0].zone.name)


def make_access_point(aws: Backends, order: Order) -> Made:
    """The EFS access point of that order, found by its token if it is there.

    Raises RefusedError.
    """
    system = order.parameters.get("fileSystemId", "")
    points = [p for p in aws.efs.access_points.values() if p.file_system_id == system]
    asked = model.efs_access_point(order, [p.posix_user["Gid"] for p in points if p.posix_user])
    if system not in aws.efs.file_systems_by_id:
        raise RefusedError("InvalidArgument", "File System does not exist: Resource was not found")
    found = next((p for p in points if p.client_token == order.name), None)
    point = found or aws.efs.create_access_point(**asked)
    return Made(f"{system}::{point.access_point_id}", order.size)


def remove(aws: Backends, handle: str) -> None:
    """Delete a volume or an access point; gone already is as good. Raises RefusedError."""
    system, *parts = handle.split(":")
    try:
        if parts and parts[-1]:
            aws.efs.delete_access_point(parts[-1])
        elif not system.startswith("fs-"):
            aws.ec2.delete_volume(handle)
    except _AWS_ERRORS as error:
        if _code(error) not in ("InvalidVolume.NotFound", "AccessPointNotFound"):
            words = _words("EC2", "DeleteVolume", error)
            raise RefusedError(
                "Internal", f'Could not delete volume ID "{handle}": {words}'
            ) from error


def attach(aws: Backends, handle: str, instance_id: str) -> str:
    """Attach a volume to an instance; returns the device. Raises RefusedError."""
    failed = f'Could not attach volume "{handle}" to node "{instance_id}"'
    try:
        volume = aws.ec2.get_volume(handle)
        if volume.attachment and volume.attachment.instance.id == instance_id:
            return str(volume.attachment.device)
        taken = aws.ec2.get_instance(instance_id).block_device_mapping
        return str(aws.ec2.attach_volume(handle, instance_id, model.device(taken)).device)
    except _AWS_ERRORS as error:
        words = _words("EC2", "AttachVolume", error)
        raise RefusedError("Internal", f"{failed}: {words}") from error


def detach(aws: Backends, handle: str, instance_id: str) -> None:
    """Detach a volume; one that is not attached there is as good."""
    volume: Any = aws.ec2.volumes.get(handle)
    held = volume.attachment if volume else None
    if held and held.instance.id == instance_id:
        aws.ec2.detach_volume(handle, instance_id, held.device)


def expand(aws: Backends, handle: str, size: int) -> None:
    """Give a volume so many GiB. Raises RefusedError."""
    try:
        if int(aws.ec2.get_volume(handle).size) < size:
            aws.ec2.modify_volume(handle, target_size=size)
    except _AWS_ERRORS as error:
        words = _words("EC2", "ModifyVolume", error)
        raise RefusedError("Internal", f'Could not resize volume "{handle}": {words}') from error


def _code(error: Exception) -> str:
    return str(getattr(error, "error_type", None) or getattr(error, "code", ""))


def _words(service: str, operation: str, error: Exception) -> str:
    """An error as AWS' SDK for Go words it."""
    message = getattr(error, "message", str(error))
    return (
        f"operation error {service}: {operation}, https response error StatusCode: 400, "
        f"api error {_code(error)}: {message}"
    )
