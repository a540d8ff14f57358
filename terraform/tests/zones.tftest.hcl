# What the postconditions of the zones reject.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = {
      account_id = "123456789012"
      arn        = "arn:aws:sts::123456789012:assumed-role/deployer/session"
    }
  }
  mock_data "aws_iam_session_context" {
    defaults = { issuer_arn = "arn:aws:iam::123456789012:role/deployer" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_availability_zone" {
    defaults = { zone_id = "usw2-az1", zone_type = "availability-zone" }
  }
}

variables {
  name               = "demo"
  region             = "us-west-2"
  availability_zones = ["us-west-2a", "us-west-2b"]
}

run "no_control_plane_in_a_zone_that_eks_rejects" {
  command = plan
  override_data {
    target = data.aws_availability_zone.chosen
    values = { zone_id = "use1-az3", zone_type = "availability-zone" }
  }
  expect_failures = [data.aws_availability_zone.chosen]
}

run "no_control_plane_in_a_local_zone" {
  command = plan
  override_data {
    target = data.aws_availability_zone.chosen
    values = { zone_id = "usw2-lax1-az1", zone_type = "local-zone" }
  }
  expect_failures = [data.aws_availability_zone.chosen]
}
