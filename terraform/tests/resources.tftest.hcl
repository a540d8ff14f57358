# Which resources exist, by variable.

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
  mock_data "aws_subnet" {
    defaults = { availability_zone = "us-west-2a" }
  }
  mock_data "aws_eks_addon_version" {
    defaults = { version = "v2.0.0-eksbuild.1" }
  }
}

variables {
  name               = "demo"
  region             = "us-west-2"
  availability_zones = ["us-west-2a", "us-west-2b"]
}

run "what_is_switched_off_does_not_exist" {
  command = plan
  variables {
    karpenter = false
    efs       = false
  }

  assert {
    condition     = length(module.network) == 1 && length(data.aws_subnet.existing) == 0
    error_message = "Without existing_vpc there must be a new network, and no subnet to look up."
  }
  assert {
    condition     = length(module.karpenter) == 0 && length(aws_iam_instance_profile.node) == 0
    error_message = "Without karpenter there must be none of its resources."
  }
  assert {
    condition     = output.karpenter == null && output.node_instance_profile_name == null
    error_message = "Without karpenter its outputs must be null."
  }
  assert {
    condition     = length(module.file_system) == 0 && output.efs == null
    error_message = "Without efs there must be no file system."
  }
  assert {
    condition     = length(module.artifact_bucket) == 0 && output.artifact_bucket == null
    error_message = "Without artifact_bucket there must be no bucket."
  }
  assert {
    condition     = length(aws_prometheus_workspace.this) == 0 && output.prometheus == null
    error_message = "Without managed_prometheus there must be no workspace."
  }
  assert {
    condition     = length(aws_budgets_budget.this) == 0
    error_message = "A budget of 0 must create none."
  }
  assert {
    condition     = length(module.static_gpu_nodes) == 0
    error_message = "Zero static GPU nodes must create no node group."
  }
  assert {
    condition     = length(aws_cloudwatch_log_group.container_insights) == 0
    error_message = "Without the CloudWatch add-on there must be none of its log groups."
  }
  assert {
    condition     = length(aws_eks_addon.before_compute) + length(aws_eks_addon.after_compute) == 0
    error_message = "Without eks_addons there must be no add-on."
  }
  assert {
    condition     = length(aws_iam_role_policy_attachment.node) == 3
    error_message = "Nodes must have three policies in any case, and none of the CNI's."
  }
  assert {
    condition     = aws_iam_role.node.permissions_boundary == null
    error_message = "An empty permissions_boundary_arn must set no boundary."
  }
}

run "what_is_switched_on_exists" {
  command = plan
  variables {
    artifact_bucket          = true
    managed_prometheus       = true
    budget_usd_per_month     = 500
    budget_emails            = ["team@example.com"]
    static_gpu_nodes         = 1
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
    eks_addons = {
      vpc-cni                         = { version = "v1.0.0-eksbuild.1", before_compute = true }
      coredns                         = {}
      amazon-cloudwatch-observability = {}
    }
    pod_identities = {
      vpc-cni            = { namespace = "kube-system", service_account = "aws-node" }
      aws-efs-csi-driver = { namespace = "kube-system", service_account = "efs", mounts_file_system = true }
    }
  }

  assert {
    condition     = length(module.karpenter) == 1 && length(aws_iam_instance_profile.node) == 1
    error_message = "Karpenter is on by default: queue, roles and instance profile must exist."
  }
  assert {
    condition     = length(module.file_system) == 1
    error_message = "The file system is on by default."
  }
  assert {
    condition     = length(module.artifact_bucket) == 1 && local.policy_words.artifact_bucket == "demo-artifacts-123456789012-us-west-2"
    error_message = "artifact_bucket must create a bucket whose name has account and Region."
  }
  assert {
    condition     = length(aws_prometheus_workspace.this) == 1
    error_message = "managed_prometheus must create a workspace."
  }
  assert {
    condition     = aws_budgets_budget.this[0].limit_amount == "500" && length(aws_budgets_budget.this[0].notification) == 2
    error_message = "A budget above 0 must exist, with two notifications."
  }
  assert {
    condition     = length(module.static_gpu_nodes) == 1
    error_message = "Static GPU nodes must have a node group."
  }
  assert {
    condition     = length(aws_cloudwatch_log_group.container_insights) == 4
    error_message = "The CloudWatch add-on must have its four log groups."
  }
  assert {
    condition     = keys(aws_eks_addon.before_compute) == ["vpc-cni"]
    error_message = "before_compute must install an add-on before the first node."
  }
  assert {
    condition     = keys(aws_eks_addon.after_compute) == ["amazon-cloudwatch-observability", "coredns"]
    error_message = "The other add-ons must come after the first node."
  }
  assert {
    condition     = aws_eks_addon.before_compute["vpc-cni"].addon_version == "v1.0.0-eksbuild.1"
    error_message = "An add-on must have the version that was set."
  }
  assert {
    condition     = keys(data.aws_eks_addon_version.newest) == ["amazon-cloudwatch-observability", "coredns"]
    error_message = "Only add-ons without a version must look up the newest one."
  }
  assert {
    condition     = aws_eks_addon.after_compute["coredns"].addon_version == "v2.0.0-eksbuild.1"
    error_message = "An add-on without a version must get the newest one."
  }
  assert {
    condition     = keys(module.pod_identity) == ["aws-efs-csi-driver", "vpc-cni"]
    error_message = "Each pod identity must have a role."
  }
  assert {
    condition     = aws_iam_role.node.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "Roles must have the permissions boundary."
  }
}

run "an_existing_vpc_replaces_the_network" {
  command = plan
  variables {
    existing_vpc = {
      vpc_id             = "vpc-1"
      private_subnet_ids = ["subnet-1", "subnet-2", "subnet-3"]
      initial_subnet_ids = ["subnet-1", "subnet-2"]
    }
  }

  assert {
    condition     = length(module.network) == 0 && output.vpc_id == "vpc-1"
    error_message = "With existing_vpc there must be no new network."
  }
  assert {
    condition     = toset(keys(data.aws_subnet.existing)) == toset(["subnet-1", "subnet-2", "subnet-3"])
    error_message = "Terraform must look up the zones of the existing subnets."
  }
  assert {
    condition     = local.control_plane_subnet_ids == tolist(["subnet-1", "subnet-2"])
    error_message = "The control plane must stay in the initial subnets."
  }
  assert {
    condition     = keys(local.mount_subnets) == tolist(["subnet-1"])
    error_message = "Three subnets in one zone must have one mount target, in the first of them."
  }
}

run "one_nat_gateway_for_all_zones" {
  command = plan
  module {
    source = "./modules/network"
  }
  variables {
    vpc_cidr             = "10.0.0.0/16"
    pod_cidr             = "100.64.0.0/16"
    nat                  = "single"
    log_retention_days   = 14
    iam_prefix           = "demo-us-west-2"
    permissions_boundary = null
  }

  assert {
    condition     = keys(aws_nat_gateway.this) == ["us-west-2a"] && length(aws_route.nat) == 2
    error_message = "`single` must create one gateway, and a route to it in each zone."
  }
}

run "one_nat_gateway_per_zone" {
  command = plan
  module {
    source = "./modules/network"
  }
  variables {
    vpc_cidr             = "10.0.0.0/16"
    pod_cidr             = "100.64.0.0/16"
    nat                  = "per-az"
    log_retention_days   = 14
    iam_prefix           = "demo-us-west-2"
    permissions_boundary = null
  }

  assert {
    condition     = keys(aws_nat_gateway.this) == ["us-west-2a", "us-west-2b"]
    error_message = "`per-az` must create a gateway in each zone."
  }
}

run "a_private_endpoint_and_another_administrator" {
  command = plan
  module {
    source = "./modules/cluster"
  }
  variables {
    cluster_version       = "1.36"
    vpc_id                = "vpc-1"
    subnet_ids            = ["subnet-1", "subnet-2"]
    endpoint_public_cidrs = []
    log_types             = ["audit"]
    log_retention_days    = 14
    admin_principals      = ["arn:aws:iam::123456789012:role/deployer", "arn:aws:iam::123456789012:role/admin"]
    iam_prefix            = "demo-us-west-2"
    permissions_boundary  = null
  }

  assert {
    condition     = !aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].endpoint_private_access
    error_message = "Without endpoint_public_cidrs the endpoint must be private."
  }
  assert {
    condition     = keys(aws_eks_access_entry.administrator) == ["arn:aws:iam::123456789012:role/admin"]
    error_message = "The principal that creates the cluster must not get a second access entry."
  }
}

run "a_public_endpoint" {
  command = plan
  module {
    source = "./modules/cluster"
  }
  variables {
    cluster_version       = "1.36"
    vpc_id                = "vpc-1"
    subnet_ids            = ["subnet-1", "subnet-2"]
    endpoint_public_cidrs = ["203.0.113.0/24"]
    log_types             = ["audit"]
    log_retention_days    = 14
    admin_principals      = []
    iam_prefix            = "demo-us-west-2"
    permissions_boundary  = null
  }

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].public_access_cidrs == toset(["203.0.113.0/24"])
    error_message = "endpoint_public_cidrs must limit who reaches the public endpoint."
  }
  assert {
    condition     = length(aws_eks_access_entry.administrator) == 0
    error_message = "Without admin_principals only the creator must have access."
  }
}
