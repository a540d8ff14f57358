"""The cache of AWS responses, with their dates."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from jarkkit.model.errors import JarkkitError
from jarkkit.ports.aws.response_cache import (
    DAY,
    MINUTE,
    CacheKey,
    ResponseCache,
    response_cache_folder,
)
from tests.support.fakes.clock import NOON, Clock, denied

KEY = CacheKey("111122223333", "us-west-2", "ec2 quotas")


def test_a_response_is_kept_with_its_date_for_the_next_process(tmp_path: Path) -> None:
    clock = Clock()
    ResponseCache(tmp_path, clock=clock).put(KEY, {"L-1": 5.0})
    clock.now += timedelta(minutes=9)
    found = ResponseCache(tmp_path, clock=clock).get(KEY, 10 * MINUTE)
    assert found is not None
    assert found.value == {"L-1": 5.0}
    assert found.fetched_at == NOON


@pytest.mark.parametrize("elapsed", [timedelta(minutes=11), timedelta(minutes=-1)])
def test_an_expired_response_and_one_from_the_future_are_ignored(
    tmp_path: Path, elapsed: timedelta
) -> None:
    clock = Clock()
    ResponseCache(tmp_path, clock=clock).put(KEY, 1)
    clock.now += elapsed
    assert ResponseCache(tmp_path, clock=clock).get(KEY, 10 * MINUTE) is None


@pytest.mark.parametrize(
    "other",
    [
        KEY._replace(account_id="444455556666"),
        KEY._replace(region="eu-west-1"),
        KEY._replace(request="ec2 quotas of another kind"),
    ],
)
def test_responses_are_kept_per_account_region_and_request(tmp_path: Path, other: CacheKey) -> None:
    ResponseCache(tmp_path).put(KEY, 1)
    assert ResponseCache(tmp_path).get(other, DAY) is None


def test_only_the_owner_can_read_the_file_and_no_other_file_is_left(tmp_path: Path) -> None:
    ResponseCache(tmp_path / "account").put(KEY, 1)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 1
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_ignoring_the_cache_skips_old_responses_but_keeps_new_ones(tmp_path: Path) -> None:
    clock = Clock()
    ResponseCache(tmp_path, clock=clock).put(KEY, "old")
    clock.now += timedelta(seconds=1)
    refreshed = ResponseCache(tmp_path, clock=clock)
    refreshed.ignore_cache()
    assert refreshed.get(KEY, DAY) is None
    refreshed.put(KEY, "new")
    clock.now += timedelta(seconds=1)
    for cache in (refreshed, ResponseCache(tmp_path, clock=clock)):
        found = cache.get(KEY, DAY)
        assert found is not None
        assert found.value == "new"


def test_a_cached_response_is_not_fetched_again_and_errors_are_not_cached(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path)
    with pytest.raises(JarkkitError):
        cache.get_or_fetch(KEY, DAY, denied)
    assert cache.get_or_fetch(KEY, DAY, lambda: "yes").value == "yes"
    assert cache.get_or_fetch(KEY, DAY, denied).value == "yes"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"question": "ec2 quotas"}', "\xff"])
def test_a_damaged_file_is_ignored(tmp_path: Path, damage: str) -> None:
    ResponseCache(tmp_path).put(KEY, 1)
    (file,) = (path for path in tmp_path.rglob("*.json"))
    file.write_bytes(damage.encode("latin-1"))
    assert ResponseCache(tmp_path).get(KEY, DAY) is None


def test_a_folder_that_cannot_be_written_leaves_a_cache_in_memory(tmp_path: Path) -> None:
    (tmp_path / "account").write_text("a file, not a folder")
    cache = ResponseCache(tmp_path / "account")
    cache.put(KEY, 1)
    assert cache.get(KEY, DAY) is not None
    assert ResponseCache(tmp_path / "account").get(KEY, DAY) is None


def test_a_simulated_account_never_shares_the_users_folder(tmp_path: Path) -> None:
    cache = {"JARKKIT_CACHE": str(tmp_path)}
    assert response_cache_folder(cache) == tmp_path / "account"
    simulated = {**cache, "AWS_ENDPOINT_URL": "http://127.0.0.1:5000"}
    assert response_cache_folder(simulated) is None
    assert response_cache_folder({**simulated, "JARKKIT_ACCOUNT_CACHE": "/x"}) == Path("/x")
    assert ResponseCache(None).get_or_fetch(KEY, DAY, lambda: 1).value == 1
