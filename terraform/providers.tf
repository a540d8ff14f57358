# The only provider. It depends on no resource, so a plan works before anything exists.
provider "aws" {
  region = var.region

  default_tags {
    tags = merge(var.tags, {
      "jarkkit:deployment" = var.name
      "jarkkit:managed-by" = "terraform"
    })
  }
}

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

locals {
  partition  = data.aws_partition.current.partition
  account_id = data.aws_caller_identity.current.account_id

  # IAM is global: the Region in the prefix keeps two deployments of the same name apart.
  iam_prefix = "${var.name}-${var.region}"

  permissions_boundary = var.permissions_boundary_arn == "" ? null : var.permissions_boundary_arn
}
