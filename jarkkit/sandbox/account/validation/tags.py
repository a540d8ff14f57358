"""Rules of tags that the API models do not say, or say for some services only. Pure.

Sources: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html and
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html; IAM:
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html; wording as users published it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jarkkit.sandbox.account.validation.patterns import compiled
from jarkkit.sandbox.account.validation.wording import ParameterError, validation_code

MAX_TAGS, MAX_KEY, MAX_VALUE = 50, 128, 256
_RESERVED = "aws:"
_CHARACTERS = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*"
# Names of parameters with tags, in lower case.
_NAMES = frozenset(("tags", "taglist", "tagset", "resourcetags"))
# These name tags to remove or to look for.
_NOT_SETTING = ("Delete", "Remove", "Untag", "Describe", "List", "Get")
# Services whose tag keys may not differ by case only.
_CASE_INSENSITIVE = frozenset(("iam", "sts"))
_CODES = {"kms": "TagException", "s3": "InvalidTag"}


class Tag(NamedTuple):
    """A tag as a call sets it."""

    key: str
    value: str


def error_in_tags(
    service: str, operation: str, parameters: Mapping[str, Any], *, xml: bool
) -> ParameterError | None:
    """Return the service's error for the tags that a call sets; None when they are valid."""
    if operation.startswith(_NOT_SETTING):
        return None
    for tags in _tag_lists(parameters):
        if error := _error(service, tags, xml):
            return error
    return None


def _tag_lists(given: Any) -> Iterator[list[Tag]]:
    """Yield every list of tags in the parameters."""
    if isinstance(given, Mapping):
        for name, value in given.items():
            if name.lower() in _NAMES and (tags := _tags(value)) is not None:
                yield tags
            else:
                yield from _tag_lists(value)
    elif isinstance(given, Sequence) and not isinstance(given, str | bytes):
        for item in given:
            yield from _tag_lists(item)


def _tags(given: Any) -> list[Tag] | None:
    """Return the tags of a map, or of a list of keys with values; None for anything else."""
    if isinstance(given, Mapping):
        given = [{"Key": key, "Value": value} for key, value in given.items()]
    tags = []
    for item in given if isinstance(given, list) else [None]:
        if not isinstance(item, Mapping):
            return None
        words = {name.lower().removeprefix("tag"): text for name, text in item.items()}
        if not isinstance(words.get("key"), str):
            return None
        tags.append(Tag(words["key"], str(words.get("value", ""))))
    return tags


def _error(service: str, tags: list[Tag], xml: bool) -> ParameterError | None:
    if service == "ec2":
        return _ec2_error(tags)
    code = _CODES.get(service) or validation_code(service, xml)
    keys = [tag.key for tag in tags]
    if service in _CASE_INSENSITIVE and len({key.lower() for key in keys}) < len(keys):
        return ParameterError(
            "InvalidInput",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        )
    if len(set(keys)) < len(keys):
        return ParameterError(code, "Cannot provide multiple Tags with the same key")
    if len(tags) > MAX_TAGS:
        return ParameterError(code, f"A resource can have at most {MAX_TAGS} tags.")
    for tag in tags:
        if reason := _why_not(service, tag):
            return ParameterError(code, reason)
    return None


def _why_not(service: str, tag: Tag) -> str:
    """Return why a service other than EC2 rejects a tag; empty when it does not."""
    key_is_valid = 1 <= len(tag.key) <= MAX_KEY and compiled(_CHARACTERS).fullmatch(tag.key)
    value_is_valid = len(tag.value) <= MAX_VALUE and compiled(_CHARACTERS).fullmatch(tag.value)
    if service == "s3":
        if tag.key.startswith(_RESERVED):
            return "System tags cannot be added/updated by requester"
        if not key_is_valid:
            return "The TagKey you have provided is invalid"
        return "" if value_is_valid else "The TagValue you have provided is invalid"
    if tag.key.lower().startswith(_RESERVED):
        return "aws: prefixed tag key names are not allowed for external use."
    if not key_is_valid:
        return f"The tag key '{tag.key}' is invalid: {_needs(1, MAX_KEY)}"
    return (
        "" if value_is_valid else f"The tag value '{tag.value}' is invalid: {_needs(0, MAX_VALUE)}"
    )


def _needs(low: int, high: int) -> str:
    return (
        f"it must have {low} to {high} characters, which can be letters, numbers, spaces, "
        "and _ . : / = + - @"
    )


def _ec2_error(tags: list[Tag]) -> ParameterError | None:
    """Return EC2's error; it accepts every character."""
    keys = [tag.key for tag in tags]
    for tag in tags:
        if tag.key.lower().startswith(_RESERVED):
            return _ec2_key(tag, "Tag keys starting with 'aws:' are reserved for internal use")
        if not tag.key:
            return ParameterError("InvalidParameterValue", "Tag key cannot be empty.")
        if len(tag.key) > MAX_KEY:
            return _ec2_key(tag, f"Tag key exceeds the maximum length of {MAX_KEY} characters")
        if len(tag.value) > MAX_VALUE:
            why = f"Tag value exceeds the maximum length of {MAX_VALUE} characters"
            return ParameterError("InvalidParameterValue", f"{why}: '{tag.value}'")
        if keys.count(tag.key) > 1:
            return ParameterError(
                "InvalidParameterValue", f"Duplicate tag key '{tag.key}' specified."
            )
    if len(tags) > MAX_TAGS:
        return ParameterError(
            "TagLimitExceeded", "The maximum number of Tags for a resource has been reached."
        )
    return None


def _ec2_key(tag: Tag, why: str) -> ParameterError:
    message = f"Value ( {tag.key} ) for parameter key is invalid. {why}"
    return ParameterError("InvalidParameterValue", message)
