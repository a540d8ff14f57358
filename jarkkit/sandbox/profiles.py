"""What kind of account is pretended, by name."""

from __future__ import annotations

PROFILES: dict[str, str] = {
    "workshop": "quotas for GPUs and Neuron were granted",
    "no-gpu-quota": "the same, but no vCPU of any instance with accelerators",
    "fresh-account": "the defaults hold: 5 vCPUs of standard instances, none of others",
    "half-used": "like workshop, but somebody else uses half of it",
}
DEFAULT = "workshop"
