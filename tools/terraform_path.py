"""Print the path of the Terraform or OpenTofu that jarkkit uses, for `make lint` and the hooks."""

from __future__ import annotations

import os
import sys

from jarkkit.ports.terraform import find_tool

if __name__ == "__main__":
    sys.stdout.write(find_tool(os.environ).path + "\n")
