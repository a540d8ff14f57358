resource "aws_eks_cluster" "this" {
  #checkov:skip=CKV_AWS_38:You choose who can reach the API (endpoint_public_cidrs); preflight warns about an open endpoint.
  #checkov:skip=CKV_AWS_39:jarkkit installs the cluster layer from your machine; an empty endpoint_public_cidrs closes the endpoint.
  #checkov:skip=CKV_AWS_339:The check's own list of versions is older than those that EKS supports today; preflight asks EKS.
  #checkov:skip=CKV_AWS_37:You choose which control plane logs to keep; the default is all of them.
  name     = var.name
  version  = var.cluster_version
  role_arn = aws_iam_role.cluster.arn

  enabled_cluster_log_types = var.log_types
  # The CNI and the other add-ons are separate resources with their own versions.
  bootstrap_self_managed_addons = false

  access_config {
    # Access entries only: a mistake in an aws-auth ConfigMap can lock every user out.
    authentication_mode = "API"
    # The creator gets an access entry below, which Terraform manages.
    bootstrap_cluster_creator_admin_permissions = false
  }

  vpc_config {
    subnet_ids              = var.subnet_ids
    endpoint_private_access = true
    endpoint_public_access  = length(var.endpoint_public_cidrs) > 0
    public_access_cidrs     = length(var.endpoint_public_cidrs) > 0 ? var.endpoint_public_cidrs : null
  }

  encryption_config {
    resources = ["secrets"]
    provider {
      key_arn = aws_kms_key.secrets.arn
    }
  }

  upgrade_policy {
    # EKS upgrades the cluster at the end of standard support. Extended support costs six times as much
    # per hour.
    support_type = "STANDARD"
  }

  tags = { Name = var.name }

  lifecycle {
    # The provider would move the cluster to other subnets, which EKS rejects in another VPC.
    replace_triggered_by = [terraform_data.vpc]

    # These arguments only affect creation, and the API does not return them. Without this, Terraform
    # would replace a cluster that it imports (after an interrupted creation).
    ignore_changes = [
      access_config[0].bootstrap_cluster_creator_admin_permissions,
      bootstrap_self_managed_addons,
    ]
  }

  # The log group must exist first, or EKS creates one without retention. The role must keep its
  # policies until the cluster is gone, or EKS cannot delete the resources that it created.
  depends_on = [aws_cloudwatch_log_group.cluster, aws_iam_role_policy_attachment.cluster]
}

resource "terraform_data" "vpc" {
  triggers_replace = var.vpc_id
}

resource "aws_cloudwatch_log_group" "cluster" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts at rest by default; a customer managed key adds cost for little benefit.
  #checkov:skip=CKV_AWS_338:A year of logs is too expensive for a workshop; log_retention_days sets the retention.
  name              = "/aws/eks/${var.name}/cluster"
  retention_in_days = var.log_retention_days
}

# -- encryption of Kubernetes secrets ------------------------------------------------------------

resource "aws_kms_key" "secrets" {
  #checkov:skip=CKV2_AWS_64:The default key policy delegates access to the account's IAM policies, which is enough here.
  description             = "Kubernetes secrets of the EKS cluster ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 7 # the minimum; a key that is pending deletion costs nothing

  tags = { Name = var.name }
}

resource "aws_kms_alias" "secrets" {
  name          = "alias/eks/${var.name}"
  target_key_id = aws_kms_key.secrets.key_id
}

# -- the cluster's role --------------------------------------------------------------------------

resource "aws_iam_role" "cluster" {
  name        = "${var.iam_prefix}-cluster"
  description = "Control plane of the EKS cluster ${var.name}"

  permissions_boundary = var.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Principal = { Service = "eks.amazonaws.com" }
    }]
  })
}

data "aws_partition" "current" {}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AmazonEKSClusterPolicy"
}

resource "aws_iam_role_policy" "encryption" {
  name = "encryption"
  role = aws_iam_role.cluster.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:ListGrants"]
      Resource = aws_kms_key.secrets.arn
    }]
  })
}

# -- cluster access ------------------------------------------------------------------------------

data "aws_caller_identity" "current" {}

# The IAM role of the caller, if the caller is an assumed-role session.
data "aws_iam_session_context" "current" {
  arn = data.aws_caller_identity.current.arn
}

# The principal that created the cluster keeps its access when another one runs Terraform.
resource "aws_eks_access_entry" "creator" {
  cluster_name  = aws_eks_cluster.this.id
  principal_arn = data.aws_iam_session_context.current.issuer_arn

  lifecycle {
    ignore_changes = [principal_arn]
  }
}

resource "aws_eks_access_policy_association" "creator" {
  cluster_name  = aws_eks_cluster.this.id
  principal_arn = aws_eks_access_entry.creator.principal_arn
  policy_arn    = local.administrator_policy

  access_scope {
    type = "cluster"
  }
}

locals {
  administrator_policy = "arn:${data.aws_partition.current.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
  administrators       = setsubtract(var.admin_principals, [aws_eks_access_entry.creator.principal_arn])
}

resource "aws_eks_access_entry" "administrator" {
  for_each = local.administrators

  cluster_name  = aws_eks_cluster.this.id
  principal_arn = each.value
}

resource "aws_eks_access_policy_association" "administrator" {
  for_each = local.administrators

  cluster_name  = aws_eks_cluster.this.id
  principal_arn = aws_eks_access_entry.administrator[each.value].principal_arn
  policy_arn    = local.administrator_policy

  access_scope {
    type = "cluster"
  }
}
