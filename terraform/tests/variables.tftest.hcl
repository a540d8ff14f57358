# Each validation of a variable has a run with a value that only that validation rejects. Validations
# refer to variables alone, so these runs also pass in a folder that has the variables.tf files and
# nothing else, without a provider.

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

run "name_begins_with_a_letter" {
  command = plan
  variables {
    name = "1demo"
  }
  expect_failures = [var.name]
}

run "name_has_at_most_24_characters" {
  command = plan
  variables {
    name = "a234567890123456789012345"
  }
  expect_failures = [var.name]
}

run "two_zones_are_the_minimum" {
  command = plan
  variables {
    availability_zones = ["us-west-2a", "us-west-2a"]
  }
  expect_failures = [var.availability_zones]
}

run "the_address_plan_has_four_zones" {
  command = plan
  variables {
    availability_zones = ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d", "us-east-1f"]
  }
  expect_failures = [var.availability_zones]
}

run "a_zone_of_the_cluster_stays" {
  command = plan
  variables {
    initial_zones = ["us-west-2a", "us-west-2c"]
  }
  expect_failures = [var.initial_zones]
}

run "the_cluster_has_two_zones" {
  command = plan
  variables {
    initial_zones = ["us-west-2a"]
  }
  expect_failures = [var.initial_zones]
}

run "vpc_cidr_is_a_cidr_block" {
  command = plan
  variables {
    vpc_cidr = "10.0.0/16"
  }
  expect_failures = [var.vpc_cidr]
}

run "vpc_cidr_is_not_too_large" {
  command = plan
  variables {
    vpc_cidr = "10.0.0.0/15"
  }
  expect_failures = [var.vpc_cidr]
}

run "vpc_cidr_is_not_too_small" {
  command = plan
  variables {
    vpc_cidr = "10.0.0.0/23"
  }
  expect_failures = [var.vpc_cidr]
}

run "pod_cidr_is_a_cidr_block" {
  command = plan
  variables {
    pod_cidr = "100.64.0/16"
  }
  expect_failures = [var.pod_cidr]
}

run "pod_cidr_is_not_too_large" {
  command = plan
  variables {
    pod_cidr = "100.64.0.0/15"
  }
  expect_failures = [var.pod_cidr]
}

run "pod_cidr_is_not_too_small" {
  command = plan
  variables {
    pod_cidr = "100.64.0.0/21"
  }
  expect_failures = [var.pod_cidr]
}

run "nat_is_one_of_two" {
  command = plan
  variables {
    nat = "none"
  }
  expect_failures = [var.nat]
}

run "an_existing_vpc_has_two_private_subnets" {
  command = plan
  variables {
    existing_vpc = { vpc_id = "vpc-1", private_subnet_ids = ["subnet-1", "subnet-1"] }
  }
  expect_failures = [var.existing_vpc]
}

run "cluster_version_is_a_minor_version" {
  command = plan
  variables {
    cluster_version = "1.36.1"
  }
  expect_failures = [var.cluster_version]
}

run "the_public_endpoint_takes_ipv4_blocks" {
  command = plan
  variables {
    endpoint_public_cidrs = ["203.0.113.0/24", "2001:db8::/32"]
  }
  expect_failures = [var.endpoint_public_cidrs]
}

run "karpenters_replicas_need_two_nodes" {
  command = plan
  variables {
    core_nodes = 1
  }
  expect_failures = [var.core_nodes]
}

run "the_maximum_is_not_below_the_minimum" {
  command = plan
  variables {
    core_nodes     = 5
    core_nodes_max = 4
  }
  expect_failures = [var.core_nodes_max]
}

run "role_names_have_at_most_64_characters" {
  command = plan
  module {
    source = "./modules/pod_identity"
  }
  variables {
    role_name            = "a2345678901234567890123456789012345678901234567890123456789012345"
    cluster_name         = "demo"
    cluster_arn          = "arn:aws:eks:us-west-2:123456789012:cluster/demo"
    namespace            = "default"
    service_account      = "default"
    permissions_boundary = null
  }
  expect_failures = [var.role_name]
}
