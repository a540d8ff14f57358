"""Simulates the AWS side of AWS Load Balancer Controller.

While the controller's pod is Ready, Services become Network Load Balancers of the account, and
Ingresses become Application Load Balancers. Without the pod an object's finalizer blocks its
deletion. When the cluster is deleted then, its load balancers stay in the account, with network
interfaces that keep AWS from deleting the subnets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from moto.core.exceptions import ServiceException

from jarkkit.sandbox import faults
from jarkkit.sandbox.controllers import kubernetes_events
from jarkkit.sandbox.controllers import load_balancer_model as model
from jarkkit.sandbox.controllers import load_balancer_stack as account
from jarkkit.sandbox.controllers.backoff import Backoff
from jarkkit.sandbox.controllers.base_controller import Controller
from jarkkit.sandbox.controllers.kubernetes_events import EventContent
from jarkkit.sandbox.controllers.load_balancer_model import BuildError, Stack, Target, TargetGroup
from jarkkit.sandbox.controllers.load_balancer_stack import (
    ClusterNetwork,
    DeployedStack,
    PortRanges,
)
from jarkkit.sandbox.controllers.objects import NODES, PODS, tags_argument
from jarkkit.sandbox.kubernetes.api import ApiError, Object, key_of
from jarkkit.sandbox.kubernetes.informer import Informer

SERVICES = "/api/v1/services"
INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
INGRESS_CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
ENDPOINT_SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
CONTROLLER_LABELS = {"app.kubernetes.io/name": "aws-load-balancer-controller"}
LEAK_FAULT = "leaked-load-balancer"
_BINDINGS = "/apis/elbv2.k8s.aws/v1beta1"

T = TypeVar("T")
Targets = Mapping[str, frozenset[Target]]


@dataclass(frozen=True)
class StackSource:
    """A Service or a group of Ingresses, which one stack is built from.

    Attributes:
        key: identifies it in this controller's own state.
        members: the objects, with apiVersion and kind.
        leaving: former members that still carry the finalizer.
    """

    key: str
    prefix: str
    stack_id: str
    finalizer: str
    members: tuple[Object, ...]
    leaving: tuple[Object, ...]

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the objects that the controller creates for it in the cluster."""
        if "/" not in self.stack_id:
            return {f"{self.prefix}/stack": self.stack_id}
        namespace, name = self.stack_id.split("/")
        return {f"{self.prefix}/stack-namespace": namespace, f"{self.prefix}/stack-name": name}


class LoadBalancerController(Controller):
    """Reconciles the account's load balancers with Services and Ingresses."""

    name = "load balancers"
    rest = 0.3  # every change of a pod triggers a run

    def start(self) -> None:
        """Start, with every stack to be checked."""
        self._backoff = Backoff()
        self._done: dict[str, tuple[Stack, Targets]] = {}
        self._default_tags: dict[str, str] = {}
        super().start()

    def watched(self) -> tuple[Informer, ...]:
        """Return informers of Services, Ingresses and their backends."""
        paths = (SERVICES, INGRESSES, INGRESS_CLASSES, ENDPOINT_SLICES, NODES, PODS)
        return tuple(self.cluster.informer(path) for path in paths)

    def reconcile(self) -> float | None:
        """Deploy the stacks that are missing or outdated, delete those without an object."""
        pod = self.cluster.find_ready_pod("kube-system", CONTROLLER_LABELS)
        tags = tags_argument(pod, "--default-tags") if pod else {}
        if pod is None or tags != self._default_tags:
            self._done.clear()
        if pod is None:
            return None
        self._default_tags = tags
        units = {unit.key: unit for unit in (*self._services(), *self._groups())}
        self._backoff.retain(units)
        for unit in units.values():
            if self._backoff.is_due(unit.key):
                self._try(unit)
        if self._backoff.seconds_until_retry() is None:
            self._open_nodes()
        return self._backoff.seconds_until_retry()

    def _try(self, unit: StackSource) -> None:
        try:
            if unit.members:
                self._ensure(unit)
            else:
                self._remove(unit)
            for obj in unit.leaving:
                self._release(obj, unit.finalizer)
            self._backoff.record_success(unit.key)
        except (BuildError, ServiceException):  # an event reports it
            self._backoff.record_failure(unit.key)
        except ApiError as error:
            self.cluster.log(f"{self.name}: {unit.key}: {error}")
            self._backoff.record_failure(unit.key)

    def _all(self, path: str) -> list[Object]:
        return self.cluster.informer(path).all()

    # -- stack sources ---------------------------------------------------------------------------

    def _services(self) -> Iterator[StackSource]:
        for found in self._all(SERVICES):
            service = {"apiVersion": "v1", "kind": "Service", **found}
            ours = model.is_managed(service)
            if ours or model.SERVICE_FINALIZER in service["metadata"].get("finalizers", ()):
                yield StackSource(
                    key=f"service {service['metadata']['uid']}",
                    prefix="service.k8s.aws",
                    stack_id=key_of(service),
                    finalizer=model.SERVICE_FINALIZER,
                    members=(service,) if ours else (),
                    leaving=() if ours else (service,),
                )

    def _groups(self) -> Iterator[StackSource]:
        classes = {obj["metadata"]["name"]: obj for obj in self._all(INGRESS_CLASSES)}
        members, leaving = defaultdict(list), defaultdict(list)
        for found in self._all(INGRESSES):
            ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", **found}
            mine = model.group_of(ingress, classes)
            if mine:
                members[mine].append(ingress)
            for group in model.pending_groups(ingress):
                if group != mine:
                    leaving[group].append(ingress)
        for group in members.keys() | leaving.keys():
            yield StackSource(
                key=f"ingress {group}",
                prefix="ingress.k8s.aws",
                stack_id=group,
                finalizer=model.finalizer_of(group),
                members=tuple(members[group]),
                leaving=tuple(leaving[group]),
            )

    # -- a stack ---------------------------------------------------------------------------------

    def _ensure(self, unit: StackSource) -> None:
        stack = self._building(unit, lambda: self._stack(unit))
        targets = {group.resource: self._targets(group) for group in stack.target_groups}
        if self._done.get(unit.key) == (stack, targets):
            return
        subnets = self._building(unit, lambda: self._subnets(stack))
        for obj in unit.members:
            self._hold(obj, unit.finalizer)
        deployed = self._deploying(unit, lambda: self._deploy(stack, subnets, targets))
        self._bind(unit, stack, deployed)
        for obj in unit.members:
            self._show(obj, _status(obj, stack, deployed.host))
        before = self._done.get(unit.key)
        self._done[unit.key] = (stack, targets)
        if before is None or before[0] != stack:
            self._record_event(unit, "Normal", "SuccessfullyReconciled", "Successfully reconciled")

    def _stack(self, unit: StackSource) -> Stack:
        if unit.prefix == "service.k8s.aws":
            return model.service_stack(unit.members[0], self.cluster.name)
        services = {key_of(service): service for service in self._all(SERVICES)}
        return model.ingress_stack(unit.stack_id, unit.members, services, self.cluster.name)

    def _targets(self, group: TargetGroup) -> frozenset[Target]:
        return model.targets(group, self._all(ENDPOINT_SLICES), self._all(NODES))

    def _subnets(self, stack: Stack) -> list[str]:
        with self.cluster.read_account() as aws:
            network = account.cluster_network(aws, self.cluster.name)
            return account.choose_subnets(aws, network, stack)

    def _deploy(self, stack: Stack, subnets: list[str], targets: Targets) -> DeployedStack:
        with self.cluster.change_account() as aws:
            network = account.cluster_network(aws, self.cluster.name, self._default_tags)
            return account.deploy(aws, network, stack, subnets, targets)

    def _remove(self, unit: StackSource) -> None:
        if not faults.ACTIVE.is_active(LEAK_FAULT):
            self._deploying(unit, lambda: self._remove_from_account(unit))
        self._unbind(unit, keep=())
        self._done.pop(unit.key, None)
        for obj in unit.leaving:
            if obj["kind"] == "Service":
                self._show(obj, {"loadBalancer": {"ingress": None}})

    def _remove_from_account(self, unit: StackSource) -> None:
        with self.cluster.change_account() as aws:
            network = account.cluster_network(aws, self.cluster.name)
            account.remove(aws, network, unit.prefix, unit.stack_id)

    def _open_nodes(self) -> None:
        """Allow the load balancers' traffic in the nodes' security group."""
        ports = _ports(self._done.values())
        with self.cluster.read_account() as aws:
            network: ClusterNetwork = account.cluster_network(aws, self.cluster.name)
            if account.is_backend_ingress_in_sync(aws, network, ports):
                return
        with self.cluster.change_account() as aws:
            account.sync_backend_ingress(aws, network, ports)

    # -- events ----------------------------------------------------------------------------------

    def _building(self, unit: StackSource, make: Callable[[], T]) -> T:
        try:
            return make()
        except BuildError as error:
            message = f"Failed build model due to {error}"
            self._record_event(unit, "Warning", "FailedBuildModel", message)
            raise

    def _deploying(self, unit: StackSource, do: Callable[[], T]) -> T:
        try:
            return do()
        except (BuildError, ServiceException) as error:
            why = error if isinstance(error, BuildError) else account.sdk_error_text(error)
            message = f"Failed deploy model due to {why}"
            self._record_event(unit, "Warning", "FailedDeployModel", message)
            raise

    def _record_event(self, unit: StackSource, kind: str, reason: str, message: str) -> None:
        for obj in unit.members or unit.leaving:
            content = EventContent(kind, reason, message, obj["kind"].lower())
            kubernetes_events.record_event(self.cluster.api, obj, content)

    # -- Kubernetes ------------------------------------------------------------------------------

    def _hold(self, obj: Object, finalizer: str) -> None:
        has = obj["metadata"].get("finalizers", [])
        if finalizer not in has:
            self._set_finalizers(obj, [*has, finalizer])

    def _release(self, obj: Object, finalizer: str) -> None:
        now = self.cluster.api.find(self.cluster.api.path_of(obj))
        if now is not None and finalizer in now["metadata"].get("finalizers", ()):
            left = [name for name in now["metadata"]["finalizers"] if name != finalizer]
            self._set_finalizers(now, left)

    def _set_finalizers(self, obj: Object, desired: list[str]) -> None:
        """Set finalizers. The API server answers 409 when another client changed the object."""
        version = obj["metadata"]["resourceVersion"]
        change = {"metadata": {"resourceVersion": version, "finalizers": desired}}
        self.cluster.api.patch(self.cluster.api.path_of(obj), change)

    def _show(self, obj: Object, status: dict[str, Any]) -> None:
        path = f"{self.cluster.api.path_of(obj)}/status"
        self.cluster.api.patch(path, {"status": status})

    def _bind(self, unit: StackSource, stack: Stack, deployed: DeployedStack) -> None:
        """Apply TargetGroupBindings, when their CRD is installed."""
        if not self.cluster.api.find(_BINDINGS):
            return
        self._unbind(unit, keep=[group.name for group in stack.target_groups])
        for group in stack.target_groups:
            arn = deployed.target_groups[group.resource]
            self.cluster.api.apply(_binding(unit, group, arn))

    def _unbind(self, unit: StackSource, keep: Iterable[str]) -> None:
        if not self.cluster.api.find(_BINDINGS):
            return
        selector = ",".join(f"{name}={value}" for name, value in unit.labels.items())
        for found in self.cluster.api.list(
            f"{_BINDINGS}/targetgroupbindings", labelSelector=selector
        ):
            meta = found["metadata"]
            if meta["name"] not in keep:
                space = f"{_BINDINGS}/namespaces/{meta['namespace']}"
                path = f"{space}/targetgroupbindings/{meta['name']}"
                self.cluster.api.patch(path, {"metadata": {"finalizers": None}})
                self.cluster.api.delete(path)


def _status(obj: Object, stack: Stack, host: str) -> dict[str, Any]:
    if obj["kind"] == "Service":
        ports = [
            {"port": p["port"], "protocol": p.get("protocol", "TCP")} for p in obj["spec"]["ports"]
        ]
    else:
        ports = [{"port": listener.port, "protocol": "TCP"} for listener in stack.listeners]
    return {"loadBalancer": {"ingress": [{"hostname": host.lower(), "ports": ports}]}}


def _ports(done: Iterable[tuple[Stack, Targets]]) -> PortRanges:
    """Return the target ports' range by protocol: the controller opens one range for all."""
    found: dict[str, list[int]] = defaultdict(list)
    for stack, targets in done:
        for group in stack.target_groups if not stack.security_groups else ():
            protocol = "udp" if group.protocol == "UDP" else "tcp"
            found[protocol] += [port for _, port in targets[group.resource]] or [group.port]
    return {protocol: (min(ports), max(ports)) for protocol, ports in found.items()}


def _binding(unit: StackSource, group: TargetGroup, arn: str) -> Object:
    namespace, service = group.service.split("/")
    return {
        "apiVersion": "elbv2.k8s.aws/v1beta1",
        "kind": "TargetGroupBinding",
        "metadata": {
            "name": group.name,
            "namespace": namespace,
            "labels": unit.labels,
            "finalizers": [model.BINDING_FINALIZER],
        },
        "spec": {
            "ipAddressType": "ipv4",
            "serviceRef": {"name": service, "port": group.service_port["port"]},
            "targetGroupARN": arn,
            "targetType": group.kind,
        },
    }
