resource "aws_eks_cluster" "this" {
  #checkov:skip=CKV_AWS_38:Who may reach the API is the user's choice (endpoint_public_cidrs); preflight warns of an open one.
  #checkov:skip=CKV_AWS_39:The kit installs the cluster layer from the user's machine; an empty endpoint_public_cidrs closes it.
  #checkov:skip=CKV_AWS_339:The check has a list of versions of its own that ends before those on offer today; preflight asks EKS itself.
  #checkov:skip=CKV_AWS_37:Which control-plane logs are kept is the user's choice; the default is all.
  name     = var.name
  version  = var.cluster_version
  role_arn = aws_iam_role.cluster.arn

  enabled_cluster_log_types = var.log_types
  # The CNI and the other add-ons are resources of their own, with versions of their own.
  bootstrap_self_managed_addons = false

  access_config {
    # Access entries only: no aws-auth ConfigMap that can lock everybody out.
    authentication_mode = "API"
    # The creator gets an access entry below that Terraform knows of.
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
    # Upgraded at the end of standard support instead of costing six times as much per hour.
    support_type = "STANDARD"
  }

  tags = { Name = var.name }

  lifecycle {
    # They say how a cluster is created, and the API does not return them: without this a cluster
    # that is imported (after an interrupted creation) would be replaced.
    ignore_changes = [
      access_config[0].bootstrap_cluster_creator_admin_permissions,
      bootstrap_self_managed_addons,
    ]
  }

  # The log group first, or EKS makes one without a retention. The role's policies as long as the
  # cluster lives, or EKS cannot remove what it made.
  depends_on = [aws_cloudwatch_log_group.cluster, aws_iam_role_policy_attachment.cluster]
}

resource "aws_cloudwatch_log_group" "cluster" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts at rest by default; a key of our own adds cost for little.
  #checkov:skip=CKV_AWS_338:A workshop does not want to pay for a year of logs; log_retention_days decides.
  name              = "/aws/eks/${var.name}/cluster"
  retention_in_days = var.log_retention_days
}

# -- encryption of Kubernetes secrets ------------------------------------------------------------

resource "aws_kms_key" "secrets" {
  #checkov:skip=CKV2_AWS_64:The default key policy leaves access to the account's IAM, which is what a deployment's key wants.
  description             = "Kubernetes secrets of the EKS cluster ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 7 # the shortest: a deployment that is gone leaves a key that costs nothing

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

# -- who may do what in the cluster --------------------------------------------------------------

data "aws_caller_identity" "current" {}

# The role behind a session, when the caller is one.
data "aws_iam_session_context" "current" {
  arn = data.aws_caller_identity.current.arn
}

locals {
  administrators = toset(concat([data.aws_iam_session_context.current.issuer_arn], var.admin_principals))
}

resource "aws_eks_access_entry" "administrator" {
  for_each = local.administrators

  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.value
}

resource "aws_eks_access_policy_association" "administrator" {
  for_each = local.administrators

  cluster_name  = aws_eks_cluster.this.name
  principal_arn = aws_eks_access_entry.administrator[each.value].principal_arn
  policy_arn    = "arn:${data.aws_partition.current.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"

  access_scope {
    type = "cluster"
  }
}
