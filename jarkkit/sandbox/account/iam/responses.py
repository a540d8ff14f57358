"""Request handlers of IAM."""

from __future__ import annotations

import json
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse as MotoResponse

from jarkkit.sandbox.account.iam.models import IamBackend
from jarkkit.sandbox.account.iam.policies import Document


class IamResponse(MotoResponse):
    """moto's handlers, and the policy simulator."""

    def simulate_principal_policy(self) -> ActionResult:
        """Handle SimulatePrincipalPolicy: policies of a user or role, and additional ones."""
        backend: Any = self.backend
        documents = backend.documents_of(self._get_param("PolicySourceArn"), self.get_access_key())
        return self._simulated(backend, [*documents, *self._given()])

    def simulate_custom_policy(self) -> ActionResult:
        """Handle SimulateCustomPolicy: only the policies in the request."""
        backend: Any = self.backend
        return self._simulated(backend, self._given())

    def _simulated(
        self, backend: IamBackend, documents: list[tuple[str, Document]]
    ) -> ActionResult:
        context = {
            entry["ContextKeyName"]: tuple(entry.get("ContextKeyValues") or ())
            for entry in self._get_param("ContextEntries", [])
        }
        results = backend.simulate(
            documents,
            self._get_param("ActionNames", []),
            self._get_param("ResourceArns", []) or ["*"],
            context,
        )
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})

    def _given(self) -> list[tuple[str, Document]]:
        texts = self._get_param("PolicyInputList", [])
        return [(f"PolicyInputList.{i}", json.loads(text)) for i, text in enumerate(texts, 1)]
