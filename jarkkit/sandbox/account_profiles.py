"""Profiles of the simulated account, by name."""

from __future__ import annotations

PROFILES: dict[str, str] = {
    "workshop": "GPU and Neuron quotas are granted",
    "no-gpu-quota": "like workshop, but with no vCPUs for instances with accelerators",
    "fresh-account": "AWS' defaults: 5 vCPUs for standard instances, none for others",
    "half-used": "like workshop, but other workloads use half of the quotas",
}
DEFAULT = "workshop"
