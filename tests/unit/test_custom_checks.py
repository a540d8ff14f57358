"""Custom checks of a cluster, which are data."""

from __future__ import annotations

from pathlib import Path

import pytest

from jarkkit.decisions.cluster import custom_checks

OBJECT = {
    "metadata": {"name": "x", "namespace": "n", "labels": {"a/b": "c"}},
    "spec": {"containers": [{"image": "one"}, {"image": "two"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}], "replicas": 2},
}


class TestCustomChecks:
    TEXT = (
        "title: It has two\n"
        "object: {apiVersion: v1, kind: Widget}\n"
        "field: status.replicas\n"
        "equals: 2\n"
        "fix: Give it two.\n"
    )

    def test_the_built_in_checks_are_complete(self) -> None:
        assert len(custom_checks.built_in_checks()) >= 3
        assert all(check.why and check.fix for check in custom_checks.built_in_checks())

    def test_evaluation(self) -> None:
        (check,) = custom_checks.parse(self.TEXT)
        assert custom_checks.evaluate(check, [OBJECT]).status == "pass"
        other = {**OBJECT, "status": {"replicas": 1}}
        failed = custom_checks.evaluate(check, [OBJECT, other])
        assert (failed.status, failed.found) == ("fail", "n/x: 1")
        assert custom_checks.evaluate(check, []).found == "no Widget"

    def test_skipped_objects_and_no_object_needed(self) -> None:
        more = "severity: warn\n"
        text = self.TEXT.replace(
            "kind: Widget", "kind: Widget, at_least: 0, skip: {field: a, equals: 1}"
        )
        (check,) = custom_checks.parse(text + more)
        assert custom_checks.evaluate(check, [{**OBJECT, "a": 1}]).status == "pass"
        assert custom_checks.evaluate(check, [{**OBJECT, "status": {}}]).status == "warn"

    def test_checks_from_a_users_folder(self, tmp_path: Path) -> None:
        (tmp_path / "good.yaml").write_text(self.TEXT)
        (tmp_path / "bad.yaml").write_text("title: x\nnonsense: 1\n")
        (tmp_path / "worse.yml").write_text("{")
        good, bad = custom_checks.user_checks(tmp_path)
        assert [check.title for check in good] == ["It has two"]
        assert {check.name for check in bad} == {"checks/bad.yaml", "checks/worse.yml"}
        assert all(check.status == "fail" and check.why for check in bad)
        assert custom_checks.user_checks(tmp_path / "absent") == ((), ())

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("matches: '['", "[ is not a regular expression: unterminated character set"),
            (
                "equals: 2\nwhen: {'addon:nothing': true}",
                "the add-on nothing, which does not exist",
            ),
            ("equals: 2\nwhen: {no_such: true}", "the setting no_such, which does not exist"),
        ],
    )
    def test_a_file_that_could_never_be_checked_is_invalid(
        self, tmp_path: Path, text: str, why: str
    ) -> None:
        (tmp_path / "bad.yaml").write_text(self.TEXT.replace("equals: 2", text))
        good, (bad,) = custom_checks.user_checks(tmp_path)
        assert good == ()
        assert (bad.name, bad.status) == ("checks/bad.yaml", "fail")
        assert why in bad.why

    def test_a_file_of_an_earlier_version_says_what_to_write(self, tmp_path: Path) -> None:
        path = '.status.conditions[type=Ready]["a/b"]'
        (tmp_path / "old.yaml").write_text(self.TEXT.replace("status.replicas", path))
        (_, (failed,)) = custom_checks.user_checks(tmp_path)
        assert "Since jarkkit 0.2, write status.conditions[?type=='Ready'].\"a/b\"" in failed.why


class TestBuiltInChecks:
    def test_network_policies_without_enforcement_are_a_failure(self) -> None:
        (check,) = [
            check
            for check in custom_checks.built_in_checks()
            if check.title == "Network policies are enforced"
        ]
        config = {"metadata": {"name": "amazon-vpc-cni", "namespace": "kube-system"}}
        for value, status in (("true", "pass"), ("false", "fail")):
            data = {"enable-network-policy-controller": value}
            assert custom_checks.evaluate(check, [{**config, "data": data}]).status == status
        assert custom_checks.evaluate(check, []).status == "fail"
