"""A certificate authority that signed nothing: its key was not kept."""

from __future__ import annotations

import base64

_PEM = """\
-----BEGIN CERTIFICATE-----
MIIBKDCBzqADAgECAgEBMAoGCCqGSM49BAMCMBIxEDAOBgNVBAMMB3Rlc3QtY2Ew
IBcNMjYwMTAxMDAwMDAwWhgPMjEyNjAxMDEwMDAwMDBaMBIxEDAOBgNVBAMMB3Rl
c3QtY2EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASohwEVEj4LAq9zfaVlYmcz
wjimD1F7cUrVPrr/gnm3DY5WddIC9wmBFIT3JdGf/Y6Dc6/2EvXHfbV9t/JBhml+
oxMwETAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCpS2P59awy
0KpJwspCxX+7u6R8a+yy40KfUPxazB/algIhAP3A6/QJOrV9SzqZAnjNYziFra3s
iajJOVpjXOjNsVSB
-----END CERTIFICATE-----
"""
# As DescribeCluster returns it.
CA_CERTIFICATE = base64.b64encode(_PEM.encode()).decode()
