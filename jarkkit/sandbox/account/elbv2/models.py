"""Load balancers with network interfaces in their subnets, and with ARNs and names like AWS'."""

from __future__ import annotations

from typing import Any

from moto.acm.exceptions import CertificateNotFound
from moto.acm.models import acm_backends
from moto.elbv2.exceptions import DuplicateLoadBalancerName, ELBClientError
from moto.elbv2.models import ELBv2Backend
from moto.moto_api._internal import mock_random as random

_NETWORK = "network"


class Elbv2Backend(ELBv2Backend):
    """Elastic Load Balancing v2 of one account and Region."""

    def create_load_balancer(self, name: str, *given: Any, **named: Any) -> Any:
        """Handle CreateLoadBalancer. Raises DuplicateLoadBalancerName."""
        if any(balancer.name == name for balancer in self.load_balancers.values()):
            raise DuplicateLoadBalancerName
        balancer: Any = super().create_load_balancer(name, *given, **named)
        balancer.scheme = balancer.scheme or "internet-facing"
        if balancer.type == _NETWORK:
            self._rename(balancer)
        balancer.dns_name = _dns_name(balancer, self.region_name)
        self._hold_interfaces(balancer)
        return balancer

    def _rename(self, balancer: Any) -> None:
        """Correct the ARN: moto gives every load balancer that of an Application Load Balancer."""
        before, balancer.arn = (
            balancer.arn,
            balancer.arn.replace(":loadbalancer/app/", ":loadbalancer/net/"),
        )
        self.load_balancers[balancer.arn] = self.load_balancers.pop(before)
        tags = self.tagging_service.list_tags_for_resource(before)["Tags"]
        self.tagging_service.delete_all_tags_for_resource(before)
        self.tagging_service.tag_resource(balancer.arn, tags)

    def _hold_interfaces(self, balancer: Any) -> None:
        ec2: Any = self.ec2_backend
        ec2.hold_interfaces(
            _owner(balancer.arn),
            balancer.subnets,
            balancer.security_groups or (),
            kind="network_load_balancer" if balancer.type == _NETWORK else "interface",
            public=balancer.scheme == "internet-facing",
        )

    def create_listener(
        self,
        load_balancer_arn: str,
        protocol: str,
        port: str,
        ssl_policy: str,
        certificate: str | None,
        *given: Any,
        **named: Any,
    ) -> Any:
        """Handle CreateListener. Raises ELBClientError for a certificate that it cannot use."""
        if certificate:
            self._check_certificate(certificate)
        return super().create_listener(
            load_balancer_arn, protocol, port, ssl_policy, certificate, *given, **named
        )

    def add_listener_certificates(self, arn: str, certificates: list[dict[str, Any]]) -> list[str]:
        """Handle AddListenerCertificates. Raises ELBClientError, as CreateListener does."""
        for certificate in certificates:
            self._check_certificate(certificate["CertificateArn"])
        return super().add_listener_certificates(arn, certificates)

    def _check_certificate(self, arn: str) -> None:
        """Check that the certificate is in this Region and issued. moto checks those of IAM."""
        if ":acm:" not in arn:
            return
        acm: Any = acm_backends[self.account_id][self.region_name]
        try:
            found = acm.get_certificate(arn)
        except CertificateNotFound as error:
            raise ELBClientError("CertificateNotFound", f"Certificate '{arn}' not found") from error
        if found.status != "ISSUED":
            raise ELBClientError(
                "UnsupportedCertificate",
                f"The certificate '{arn}' must have a fully-qualified domain name, a supported "
                "signature, and a supported key size.",
            )

    def set_security_groups(self, arn: str, sec_groups: list[str]) -> None:
        """Handle SetSecurityGroups."""
        super().set_security_groups(arn, sec_groups)
        self._hold_interfaces(self.load_balancers[arn])

    def set_subnets(
        self, arn: str, subnets: list[str], subnet_mappings: list[dict[str, Any]]
    ) -> list[Any]:
        """Handle SetSubnets."""
        zones: list[Any] = super().set_subnets(arn, subnets, subnet_mappings)
        self._hold_interfaces(self.load_balancers[arn])
        return zones

    def delete_load_balancer(self, arn: str) -> None:
        """Handle DeleteLoadBalancer, and delete the network interfaces too."""
        super().delete_load_balancer(arn)
        ec2: Any = self.ec2_backend
        ec2.hold_interfaces(_owner(arn), (), ())


def _owner(arn: str) -> str:
    return arn.partition(":loadbalancer/")[2]


def _dns_name(balancer: Any, region: str) -> str:
    if balancer.type == _NETWORK:
        identity = balancer.arn.rsplit("/", 1)[-1]
        return f"{balancer.name}-{identity}.elb.{region}.amazonaws.com"
    front = "internal-" if balancer.scheme == "internal" else ""
    number = 10**9 + random.randint(0, 10**9)
    return f"{front}{balancer.name}-{number}.{region}.elb.amazonaws.com"
