# EKS managed add-ons. Their permissions are separate Pod Identity associations (identity.tf), so that
# EKS add-ons and Helm releases get permissions in the same way.

data "aws_eks_addon_version" "newest" {
  for_each = { for name, addon in var.eks_addons : name => addon if addon.version == null }

  addon_name         = each.key
  kubernetes_version = var.cluster_version
  most_recent        = true
}

locals {
  addon_versions = {
    for name, addon in var.eks_addons :
    name => addon.version != null ? addon.version : data.aws_eks_addon_version.newest[name].version
  }
}

resource "aws_eks_addon" "before_compute" {
  for_each = { for name, addon in var.eks_addons : name => addon if addon.before_compute }

  cluster_name                = module.cluster.name
  addon_name                  = each.key
  addon_version               = local.addon_versions[each.key]
  configuration_values        = each.value.configuration
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  tags = { Name = "${var.name}-${each.key}" }

  # The CNI needs its role as soon as it starts.
  depends_on = [module.pod_identity]
}

resource "aws_eks_addon" "after_compute" {
  for_each = { for name, addon in var.eks_addons : name => addon if !addon.before_compute }

  cluster_name                = module.cluster.name
  addon_name                  = each.key
  addon_version               = local.addon_versions[each.key]
  configuration_values        = each.value.configuration
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  tags = { Name = "${var.name}-${each.key}" }

  depends_on = [module.core_nodes, aws_cloudwatch_log_group.container_insights]
}
