"""The AWS provider: which version, and from which folder Terraform or OpenTofu installs it.

Both products get one version, with the checksums of terraform/*.lock.hcl. Their registries have
different names and different builds of the same source, so there is a lock file per product:
neither product accepts a lock file with an entry that it did not install. Both files list the
checksums of both builds, and so a mirror folder made for one product works with the other.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jarkkit.ports.paths import terraform_folder

PROVIDER = "hashicorp/aws"
LOCK_FILE = ".terraform.lock.hcl"  # the name that both products expect
_SHIPPED_LOCK_FILES = {"terraform": LOCK_FILE, "tofu": ".opentofu.lock.hcl"}
# Host name of each product's registry: the top folder of its provider mirrors.
_REGISTRIES = {"terraform": "registry.terraform.io", "tofu": "registry.opentofu.org"}
# Where a product looks on its own: https://developer.hashicorp.com/terraform/cli/config/config-file
# (implied local mirror directories).
_IMPLIED = (".terraform.d/plugins", ".local/share/terraform/plugins")
_ARCHIVE = re.compile(r"terraform-provider-aws_(?P<version>[^_]+)_(?P<platform>\w+)\.zip")
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def registry(product: str) -> str:
    """Return the host name of a product's registry.

    Args:
        product: `terraform` or `tofu`.
    """
    return _REGISTRIES[product]


def lock_file(product: str, configuration: Path | None = None) -> Path:
    """Return the shipped lock file of a product."""
    return (configuration or terraform_folder()) / _SHIPPED_LOCK_FILES[product]


def pinned_version(configuration: Path | None = None) -> str:
    """Return the one version of the provider, such as 5.100.0."""
    (version,) = re.findall(
        r'^ *version *= "(.+)"', lock_file("terraform", configuration).read_text(), re.MULTILINE
    )
    return str(version)


def this_platform() -> str:
    """Return this machine's platform in the registries' words, such as `linux_amd64`."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}_{_MACHINES.get(machine, machine)}"


@dataclass(frozen=True)
class ProviderPackage:
    """A package of the provider in a mirror folder.

    Attributes:
        registry: the registry that it is filed under.
        path: a folder, or a zip archive.
    """

    registry: str
    version: str
    platform: str
    path: Path


def packages(mirror: Path) -> Iterator[ProviderPackage]:
    """Yield the packages of the provider in a mirror folder, of both registries.

    A mirror has folders (`VERSION/PLATFORM/`) or archives; each product reads both:
    https://developer.hashicorp.com/terraform/cli/config/config-file#filesystem_mirror
    """
    for host in _REGISTRIES.values():
        folder = mirror / host / PROVIDER
        for path in sorted(folder.glob("*/*_*")):
            yield ProviderPackage(host, path.parent.name, path.name, path)
        for path in sorted(folder.glob("*.zip")):
            if found := _ARCHIVE.fullmatch(path.name):
                yield ProviderPackage(host, found["version"], found["platform"], path)


def holds_provider(mirror: Path, version: str) -> bool:
    """Return True if the folder has that version for this platform."""
    return any((p.version, p.platform) == (version, this_platform()) for p in packages(mirror))


def is_installed(folder: Path, product: str) -> bool:
    """Return True if `init` has installed the pinned version in a deployment's folder."""
    installed = folder / ".terraform/providers" / registry(product) / PROVIDER
    return (installed / pinned_version() / this_platform()).is_dir()


def find_mirror(
    product: str,
    environ: Mapping[str, str],
    roots: Sequence[Path] = (Path("/opt"),),
    system: Sequence[Path] = (Path("/usr/local/share/terraform/plugins"),),
) -> Path | None:
    """Return the provider mirror to use; None leaves the choice to the product.

    JARKKIT_TF_MIRROR comes first. If you have a CLI configuration, that decides. Otherwise it is
    the first folder with the pinned version: one of the product's implied directories, or a folder
    directly below one of `roots`. An implied directory with another version counts when there is no
    better one, because the product would download nothing.
    """
    if named := environ.get("JARKKIT_TF_MIRROR"):
        return Path(named).expanduser().resolve()
    if user_configuration(product, environ) is not None:
        return None
    home = Path(environ.get("HOME", "~")).expanduser()
    implied = [*(home / folder for folder in _IMPLIED), *system]
    below = [folder for root in roots if root.is_dir() for folder in sorted(root.iterdir())]
    version = pinned_version()
    whole = (folder for folder in (*implied, *below) if holds_provider(folder, version))
    other = (folder for folder in implied if (folder / registry(product) / PROVIDER).is_dir())
    return next(whole, None) or next(other, None)


def user_configuration(product: str, environ: Mapping[str, str]) -> Path | None:
    """Return the user's CLI configuration, or None."""
    named = environ.get("TF_CLI_CONFIG_FILE")
    home = Path(environ.get("HOME", "~")).expanduser()
    names = [".tofurc", ".terraformrc"] if product == "tofu" else [".terraformrc"]
    candidates = [Path(named)] if named else [home / name for name in names]
    return next((path for path in candidates if path.is_file()), None)


def mirror_view(mirror: Path, product: str, folder: Path) -> Path:
    """Return a mirror that the product accepts: `mirror` itself, or a folder of links into it.

    The links file a mirror of the other product's registry under this product's one.

    Args:
        folder: where to create the links; the files in it are replaced.
    """
    host = registry(product)
    found = list(packages(mirror))
    if not found or any(package.registry == host for package in found):
        return mirror
    for package in found:
        link = folder / host / package.path.relative_to(mirror / package.registry)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(package.path)
    return folder


def cli_configuration(mirror: Path, product: str) -> str:
    """Return a CLI configuration that installs the provider from that mirror only."""
    source = f"{registry(product)}/{PROVIDER}"
    return (
        "provider_installation {\n"
        f"  filesystem_mirror {{\n    path    = {json.dumps(str(mirror))}\n"
        f'    include = ["{source}"]\n  }}\n'
        f'  direct {{\n    exclude = ["{source}"]\n  }}\n}}\n'
    )
