"""Build the programs of sandbox clusters: `python -m jarkkit.sandbox.cluster`."""

from __future__ import annotations

import sys

from jarkkit.errors import JarkkitError
from jarkkit.sandbox.cluster.toolchain import Toolchain, user_cache


def main() -> int:
    """Build what is missing; a line on stderr per program, and then every quarter of a minute."""
    shown = ("", 0.0)
    try:
        for at in Toolchain(user_cache()).set_up():
            if at.program != shown[0] or shown[1] - at.seconds_left >= 15:
                shown = (at.program, at.seconds_left)
                sys.stderr.write(
                    f"[{at.done + 1}/{at.of}] {at.program}: {at.packages} packages, about "
                    f"{at.seconds_left / 60:.1f} min left in all\n"
                )
    except JarkkitError as error:
        sys.stderr.write("\n".join(error.lines()) + "\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; the next set-up goes on from here.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
