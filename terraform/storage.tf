module "file_system" {
  source = "./modules/file_system"
  count  = var.efs ? 1 : 0

  name                   = var.name
  vpc_id                 = local.vpc_id
  subnets                = local.mount_subnets
  node_security_group_id = module.cluster.security_group_id
}

locals {
  # One mount target per zone, in the subnet where the zone's nodes are. The keys are known before
  # the subnets exist.
  mount_subnets = (
    var.existing_vpc == null
    ? { for index, zone in var.availability_zones : zone => local.node_subnet_ids[index] }
    : { for id in distinct(local.node_subnet_ids) : id => id }
  )
}

module "artifact_bucket" {
  source = "./modules/bucket"
  count  = var.artifact_bucket ? 1 : 0

  name = local.policy_words.artifact_bucket
}
