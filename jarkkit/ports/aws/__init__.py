"""The AWS client: the only package that imports boto3.

It returns jarkkit's records, never SDK objects, and turns every SDK error into a `JarkkitError`.
"""

from jarkkit.ports.aws.account import Account

__all__ = ["Account"]
