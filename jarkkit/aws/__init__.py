"""The door to AWS: the only package that imports boto3.

It returns our records, never SDK objects, and turns every SDK error into a `JarkkitError`.
"""

from jarkkit.aws.account import Account

__all__ = ["Account"]
