# AWS permissions of service accounts: one role and one EKS Pod Identity association each.

locals {
  # Variables that a policy in the add-on catalog may use.
  policy_words = {
    partition       = local.partition
    region          = var.region
    account_id      = local.account_id
    cluster_name    = var.name
    cluster_arn     = "arn:${local.partition}:eks:${var.region}:${local.account_id}:cluster/${var.name}"
    artifact_bucket = "${var.name}-artifacts-${local.account_id}-${var.region}"
  }

  # IAM allows 64 characters, which a long name in a Region with a long name can exceed: the end is cut,
  # and a hash keeps the names apart. The beginning stays, which policies and cleanup know.
  long_role_names = { for key in keys(var.pod_identities) : key => "${local.iam_prefix}-${key}" }
  role_names = {
    for key, name in local.long_role_names :
    key => length(name) <= 64 ? name : "${substr(name, 0, 57)}-${substr(sha256(key), 0, 6)}"
  }
}

module "pod_identity" {
  source   = "./modules/pod_identity"
  for_each = var.pod_identities

  role_name    = local.role_names[each.key]
  cluster_name = module.cluster.name
  cluster_arn  = module.cluster.arn

  permissions_boundary = local.permissions_boundary
  namespace            = each.value.namespace
  service_account      = each.value.service_account
  managed_policies     = each.value.managed_policies
  policies             = each.value.policy == null ? {} : { own = templatestring(each.value.policy, local.policy_words) }
}
