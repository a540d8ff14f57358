"""What is removed from shared texts, and what stays readable."""

from __future__ import annotations

import json
import time

import pytest

from jarkkit.decisions.redaction import (
    Redactor,
    StrictRedactor,
    is_secret_name,
    secret_variables,
    sensitive_values,
)

STRICT = StrictRedactor({})
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SESSION = "IQoJb3JpZ2luX2VjEHoaCXVzLXdlc3QtMiJHMEUCIQDxyz0123456789abcdefABCDEF+/=="
EKS_TOKEN = "k8s-aws-v1.aHR0cHM6Ly9zdHMudXMtd2VzdC0yLmFtYXpvbmF3cy5jb20v"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
GITHUB = "ghp_" + "a1B2" * 9
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\nxyz=\n-----END RSA PRIVATE KEY-----"

# Formats that show what they are.
FORMATS = {
    "access key": (ACCESS_KEY, ACCESS_KEY),
    "temporary access key": ("ASIA2222333344445555", "ASIA2222333344445555"),
    "EKS token": (f"token {EKS_TOKEN} expired", EKS_TOKEN),
    "web token": (f"got {JWT}.", JWT),
    "GitHub token": (f"clone with {GITHUB}", GITHUB),
    "Hugging Face token": ("use hf_abcdefghijABCDEFGHIJ12", "hf_abcdefghijABCDEFGHIJ12"),
    "bearer token": ("Authorization: Bearer abc123def456", "abc123def456"),
    "password in a URL": ("proxy http://me:p4ss@w0rd@proxy:3128/", "p4ss"),
    "user in a URL": ("https://sometoken@host/x", "sometoken"),
    "private key": (f"key:\n{PEM}\nend", "MIIEabc"),
    "truncated private key": (PEM[:50], "MIIEabc"),
    "presigned URL": ("https://s3/x?X-Amz-Signature=abcd&b=1", "abcd"),
}
# Where only names or the look of a value hint at a secret.
GUESSED = {
    "secret key": (f"creds {ACCESS_KEY} {SECRET_KEY}", SECRET_KEY),
    "session token": (f"session {SESSION}", SESSION),
    "named value": ("DB_PASSWORD=hunter2", "hunter2"),
    "named value in YAML": ("  password: hunter2", "hunter2"),
    "quoted value with spaces": ('password: "hunter two", next', "two"),
    "quote that is not closed": ('password: "hunter two', "two"),
    "value in escaped JSON": (r"{\"password\": \"hunter two\"}", "two"),
    "block of YAML": ("a: 1\npassword: |\n  hunter\n  two\nb: 2", "hunter"),
    "option": ("serve --password hunter2", "hunter2"),
    "header": ("authorization: Basic aHVudGVyOg==", "aHVudGVyOg"),
    "cookie": ("Set-Cookie: session=hunter2; path=/", "hunter2"),
    "kubeconfig": ("    client-key-data: TUlJRQ==", "TUlJRQ"),
    "account id": ("arn:aws:eks:us-west-2:123456789012:cluster/x", "123456789012"),
    "account id in groups": ("account 1234-5678-9012", "5678"),
    "IAM user": ("arn:aws:iam::123456789012:user/alice is denied", "alice"),
    "session name": ("arn:aws:sts::123456789012:assumed-role/Admin/alice denied", "alice"),
    "email": ("from alice@example.com", "alice"),
    "holder of the lock": ("  Who:       alice@laptop", "alice"),
    "home of another user": ("open /home/alice/.aws/config", "alice"),
    "home on a Mac": ("open /Users/alice/x", "alice"),
    "home on Windows": (r"open C:\Users\alice\x", "alice"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_token_of_a_known_format_is_removed(name: str) -> None:
    text, secret = FORMATS[name]
    assert secret in text or "truncated" in name
    assert secret not in Redactor({}).text(text)
    assert secret not in STRICT.text(text)


@pytest.mark.parametrize("name", GUESSED)
def test_what_may_be_a_secret_is_removed_from_foreign_texts(name: str) -> None:
    text, secret = GUESSED[name]
    assert secret in text
    assert secret not in STRICT.text(text)


@pytest.mark.parametrize("name", [*FORMATS, *GUESSED])
def test_a_value_of_json_is_redacted_like_a_text(name: str) -> None:
    text, secret = {**FORMATS, **GUESSED}[name]
    line = json.dumps({"message": [text], text: 1})
    assert secret not in STRICT.json_lines(line)
    json.loads(STRICT.json_lines(line))


@pytest.mark.parametrize(
    "text",
    [
        "module.network[0].aws_route.nat: Creation complete after 0s",
        "secretName: grafana\nautomountServiceAccountToken: false\ntokenExpirationSeconds: 3600",
        "hf_token_secret: env:HF_TOKEN\njupyterhub_oidc_client_secret: ''",
        "image: repo/hub@sha256:" + "0a" * 32,
        "2026-11-30T20:25:20.285660Z i-0123456789abcdef0 ip-10-0-1-2.us-west-2.compute.internal",
        "Secret not found; token expired; the password is wrong",
        "cd /home/jovyan && https://api.example.com:443/x",
        "arn:aws:sts::1234…9012:assumed-role/demo-node/i-0123456789abcdef0",
        "serve --token-file /run/x --verbose",
    ],
)
def test_what_helps_stays(text: str) -> None:
    assert STRICT.text(text) == text


def test_redacting_twice_changes_nothing() -> None:
    once = STRICT.text("\n".join(text for text, _ in {**FORMATS, **GUESSED}.values()))
    assert STRICT.text(once) == once


def test_values_are_removed_by_their_names() -> None:
    found = STRICT.value(
        {
            "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "PORT", "value": "80"}],
            "args": ["--password", "hunter2", "--port", "80"],
            "token": "x",
            "pin_token": 4711,
            "account": 123456789012,
            "secretName": "grafana",
            "ready": True,
            "none": [],
        }
    )
    assert found == {
        "env": [{"name": "DB_PASSWORD", "value": "(secret)"}, {"name": "PORT", "value": "80"}],
        "args": ["--password", "(secret)", "--port", "80"],
        "token": "(secret)",
        "pin_token": "(secret)",
        "account": "1234…9012",
        "secretName": "grafana",
        "ready": True,
        "none": [],
    }


def test_known_values_are_replaced_the_longest_first() -> None:
    environ = {"HF_TOKEN": "hunter2-hunter2", "HF_TOKEN_FILE": "/run/x", "PORT": "8080"}
    assert secret_variables(environ) == ("hunter2-hunter2",)
    words = sensitive_values({"/home/me": "~", "/home/me/x": "."}, secrets=("hunter2-hunter2", "x"))
    assert Redactor(words).text("/home/me/x /home/me hunter2-hunter2") == ". ~ (secret)"


def test_names_that_sound_like_a_secret() -> None:
    assert all(map(is_secret_name, ("PGPASSWORD", "api-key", "AWS_SESSION_TOKEN", "clientSecret")))
    assert not any(map(is_secret_name, ("secretName", "tokenPath", "monkey", "secretKeyRef")))


def test_a_line_that_is_no_json_is_redacted_as_text() -> None:
    assert STRICT.json_lines('{"a": 1}\n\n{"password": "hunt') == (
        '{"a": 1}\n{"password": "(secret)\n'
    )


def test_a_key_that_spans_lines_of_a_log_is_removed() -> None:
    assert STRICT.json_lines(f'{{"a": 1}}\n{PEM}\n{{"b": 2}}\n') == (
        '{"a": 1}\n(secret)\n{"b": 2}\n'
    )


@pytest.mark.parametrize("unit", ["a", "A1a/", "a@b.", "token ", "token=", "-", "x.", "/home/"])
def test_the_time_grows_with_the_length_and_not_its_square(unit: str) -> None:
    began = time.process_time()
    STRICT.text(unit * (100_000 // len(unit)))
    assert time.process_time() - began < 5
