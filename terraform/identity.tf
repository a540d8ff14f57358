# AWS permissions of service accounts: one role and one EKS Pod Identity association each.

locals {
  # What a policy of the catalogue may refer to.
  policy_words = {
    partition       = local.partition
    region          = var.region
    account_id      = local.account_id
    cluster_name    = var.name
    cluster_arn     = "arn:${local.partition}:eks:${var.region}:${local.account_id}:cluster/${var.name}"
    artifact_bucket = "${var.name}-artifacts-${local.account_id}-${var.region}"
  }
}

module "pod_identity" {
  source   = "./modules/pod_identity"
  for_each = var.pod_identities

  role_name        = "${local.iam_prefix}-${each.key}"
  cluster_name     = module.cluster.name
  cluster_arn      = module.cluster.arn
  namespace        = each.value.namespace
  service_account  = each.value.service_account
  managed_policies = each.value.managed_policies
  policies         = each.value.policy == null ? {} : { own = templatestring(each.value.policy, local.policy_words) }
}
