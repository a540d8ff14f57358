"""Load balancers: plays the AWS side of AWS Load Balancer Controller.

Services become Network Load Balancers and Ingresses Application Load Balancers of the account,
while the controller's pod is Ready. Without it an object's finalizer keeps it, and what was made
for it stays in the account when the cluster goes: with interfaces in its subnets, which then cannot
be deleted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from moto.core.exceptions import ServiceException

from jarkkit.sandbox import faults
from jarkkit.sandbox.cluster.api import ApiError, Object, key_of
from jarkkit.sandbox.cluster.informer import Informer
from jarkkit.sandbox.eks import events
from jarkkit.sandbox.eks import load_balancer_model as model
from jarkkit.sandbox.eks import load_balancer_stack as account
from jarkkit.sandbox.eks.controller import Controller
from jarkkit.sandbox.eks.events import Said
from jarkkit.sandbox.eks.load_balancer_model import BuildError, Stack, Target, TargetGroup
from jarkkit.sandbox.eks.load_balancer_stack import Deployed, Place, Ports
from jarkkit.sandbox.eks.objects import NODES, PODS
from jarkkit.sandbox.eks.patience import Patience

SERVICES = "/api/v1/services"
INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
LABELS = {"app.kubernetes.io/name": "aws-load-balancer-controller"}
LEAK = "leaked-load-balancer"
_BINDINGS = "/apis/elbv2.k8s.aws/v1beta1"

T = TypeVar("T")
Targets = Mapping[str, frozenset[Target]]


@dataclass(frozen=True)
class Unit:
    """A Service or a group of Ingresses: what one stack is for.

    Attributes:
        key: for our memory.
        members: the objects, with apiVersion and kind.
        leaving: objects that were members and still carry the finalizer.
    """

    key: str
    prefix: str
    identity: str
    finalizer: str
    members: tuple[Object, ...]
    leaving: tuple[Object, ...]

    @property
    def labels(self) -> dict[str, str]:
        """Of what the controller makes for it in the cluster."""
        if "/" not in self.identity:
            return {f"{self.prefix}/stack": self.identity}
        namespace, name = self.identity.split("/")
        return {f"{self.prefix}/stack-namespace": namespace, f"{self.prefix}/stack-name": name}


class LoadBalancers(Controller):
    """Keeps the account's load balancers as Services and Ingresses want them."""

    name = "load balancers"
    rest = 0.3  # every change of a pod wakes it

    def start(self) -> None:
        """Begin; nothing is known to be done."""
        self._patience = Patience()
        self._done: dict[str, tuple[Stack, Targets]] = {}
        super().start()

    def watched(self) -> tuple[Informer, ...]:
        """Services and Ingresses, and what is behind them."""
        paths = (SERVICES, INGRESSES, CLASSES, SLICES, NODES, PODS)
        return tuple(self.cluster.informer(path) for path in paths)

    def reconcile(self) -> float | None:
        """Deploy what is wanted and is not there as it should be, remove what is not wanted."""
        if not self.cluster.is_up("kube-system", LABELS):
            self._done.clear()
            return None
        units = {unit.key: unit for unit in (*self._services(), *self._groups())}
        self._patience.keep(units)
        for unit in units.values():
            if self._patience.due(unit.key):
                self._try(unit)
        if self._patience.wait() is None:
            self._open_nodes()
        return self._patience.wait()

    def _try(self, unit: Unit) -> None:
        try:
            if unit.members:
                self._ensure(unit)
            else:
                self._remove(unit)
            for thing in unit.leaving:
                self._let_go(thing, unit.finalizer)
            self._patience.done(unit.key)
        except (BuildError, ServiceException):  # told already
            self._patience.failed(unit.key)
        except ApiError as error:
            self.cluster.log(f"{self.name}: {unit.key}: {error}")
            self._patience.failed(unit.key)

    def _all(self, path: str) -> list[Object]:
        return self.cluster.informer(path).all()

    # -- what there is ---------------------------------------------------------------------------

    def _services(self) -> Iterator[Unit]:
        for found in self._all(SERVICES):
            service = {"apiVersion": "v1", "kind": "Service", **found}
            ours = model.is_ours(service)
            if ours or model.SERVICE_FINALIZER in service["metadata"].get("finalizers", ()):
                yield Unit(
                    key=f"service {service['metadata']['uid']}",
                    prefix="service.k8s.aws",
                    identity=key_of(service),
                    finalizer=model.SERVICE_FINALIZER,
                    members=(service,) if ours else (),
                    leaving=() if ours else (service,),
                )

    def _groups(self) -> Iterator[Unit]:
        classes = {thing["metadata"]["name"]: thing for thing in self._all(CLASSES)}
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
            yield Unit(
                key=f"ingress {group}",
                prefix="ingress.k8s.aws",
                identity=group,
                finalizer=model.finalizer_of(group),
                members=tuple(members[group]),
                leaving=tuple(leaving[group]),
            )

    # -- a stack ---------------------------------------------------------------------------------

    def _ensure(self, unit: Unit) -> None:
        stack = self._building(unit, lambda: self._stack(unit))
        targets = {group.resource: self._targets(group) for group in stack.target_groups}
        if self._done.get(unit.key) == (stack, targets):
            return
        subnets = self._building(unit, lambda: self._subnets(stack))
        for thing in unit.members:
            self._hold(thing, unit.finalizer)
        deployed = self._deploying(unit, lambda: self._deploy(stack, subnets, targets))
        self._bind(unit, stack, deployed)
        for thing in unit.members:
            self._show(thing, _status(thing, stack, deployed.host))
        before = self._done.get(unit.key)
        self._done[unit.key] = (stack, targets)
        if before is None or before[0] != stack:
            self._tell(unit, "Normal", "SuccessfullyReconciled", "Successfully reconciled")

    def _stack(self, unit: Unit) -> Stack:
        if unit.prefix == "service.k8s.aws":
            return model.service_stack(unit.members[0], self.cluster.name)
        services = {key_of(service): service for service in self._all(SERVICES)}
        return model.ingress_stack(unit.identity, unit.members, services, self.cluster.name)

    def _targets(self, group: TargetGroup) -> frozenset[Target]:
        return model.targets(group, self._all(SLICES), self._all(NODES))

    def _subnets(self, stack: Stack) -> list[str]:
        with self.cluster.read() as aws:
            place = account.place_of(aws, self.cluster.name)
            return account.choose_subnets(aws, place, stack)

    def _deploy(self, stack: Stack, subnets: list[str], targets: Targets) -> Deployed:
        with self.cluster.change() as aws:
            place = account.place_of(aws, self.cluster.name)
            return account.deploy(aws, place, stack, subnets, targets)

    def _remove(self, unit: Unit) -> None:
        if not faults.ACTIVE.on(LEAK):
            self._deploying(unit, lambda: self._remove_from_account(unit))
        self._unbind(unit, keep=())
        self._done.pop(unit.key, None)
        for thing in unit.leaving:
            if thing["kind"] == "Service":
                self._show(thing, {"loadBalancer": {"ingress": None}})

    def _remove_from_account(self, unit: Unit) -> None:
        with self.cluster.change() as aws:
            place = account.place_of(aws, self.cluster.name)
            account.remove(aws, place, unit.prefix, unit.identity)

    def _open_nodes(self) -> None:
        """Nodes let in what the balancers forward."""
        ports = _ports(self._done.values())
        with self.cluster.read() as aws:
            place: Place = account.place_of(aws, self.cluster.name)
            if account.is_open(aws, place, ports):
                return
        with self.cluster.change() as aws:
            account.open_backend(aws, place, ports)

    # -- what is told ----------------------------------------------------------------------------

    def _building(self, unit: Unit, make: Callable[[], T]) -> T:
        try:
            return make()
        except BuildError as error:
            said = f"Failed build model due to {error}"
            self._tell(unit, "Warning", "FailedBuildModel", said)
            raise

    def _deploying(self, unit: Unit, do: Callable[[], T]) -> T:
        try:
            return do()
        except (BuildError, ServiceException) as error:
            why = error if isinstance(error, BuildError) else account.words(error)
            said = f"Failed deploy model due to {why}"
            self._tell(unit, "Warning", "FailedDeployModel", said)
            raise

    def _tell(self, unit: Unit, kind: str, reason: str, message: str) -> None:
        for thing in unit.members or unit.leaving:
            said = Said(kind, reason, message, thing["kind"].lower())
            events.tell(self.cluster.api, thing, said)

    # -- Kubernetes ------------------------------------------------------------------------------

    def _hold(self, thing: Object, finalizer: str) -> None:
        has = thing["metadata"].get("finalizers", [])
        if finalizer not in has:
            self._set_finalizers(thing, [*has, finalizer])

    def _let_go(self, thing: Object, finalizer: str) -> None:
        now = self.cluster.api.find(self.cluster.api.path_of(thing))
        if now is not None and finalizer in now["metadata"].get("finalizers", ()):
            left = [name for name in now["metadata"]["finalizers"] if name != finalizer]
            self._set_finalizers(now, left)

    def _set_finalizers(self, thing: Object, wanted: list[str]) -> None:
        """Refused with a conflict when somebody else changed the object meanwhile."""
        version = thing["metadata"]["resourceVersion"]
        change = {"metadata": {"resourceVersion": version, "finalizers": wanted}}
        self.cluster.api.patch(self.cluster.api.path_of(thing), change)

    def _show(self, thing: Object, status: dict[str, Any]) -> None:
        path = f"{self.cluster.api.path_of(thing)}/status"
        self.cluster.api.patch(path, {"status": status})

    def _bind(self, unit: Unit, stack: Stack, deployed: Deployed) -> None:
        """TargetGroupBindings, where their definition is installed."""
        if not self.cluster.api.find(_BINDINGS):
            return
        self._unbind(unit, keep=[group.name for group in stack.target_groups])
        for group in stack.target_groups:
            arn = deployed.target_groups[group.resource]
            self.cluster.api.apply(_binding(unit, group, arn))

    def _unbind(self, unit: Unit, keep: Iterable[str]) -> None:
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


def _status(thing: Object, stack: Stack, host: str) -> dict[str, Any]:
    if thing["kind"] == "Service":
        ports = [
            {"port": p["port"], "protocol": p.get("protocol", "TCP")}
            for p in thing["spec"]["ports"]
        ]
    else:
        ports = [{"port": listener.port, "protocol": "TCP"} for listener in stack.listeners]
    return {"loadBalancer": {"ingress": [{"hostname": host.lower(), "ports": ports}]}}


def _ports(done: Iterable[tuple[Stack, Targets]]) -> Ports:
    """The range of target ports by protocol: the controller opens one range for all."""
    found: dict[str, list[int]] = defaultdict(list)
    for stack, targets in done:
        for group in stack.target_groups if not stack.groups else ():
            protocol = "udp" if group.protocol == "UDP" else "tcp"
            found[protocol] += [port for _, port in targets[group.resource]] or [group.port]
    return {protocol: (min(ports), max(ports)) for protocol, ports in found.items()}


def _binding(unit: Unit, group: TargetGroup, arn: str) -> Object:
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
