module "file_system" {
  source = "./modules/file_system"
  count  = var.efs ? 1 : 0

  name                   = var.name
  vpc_id                 = local.vpc_id
  subnets                = local.mount_subnets
  node_security_group_id = module.cluster.security_group_id
  mount_role_arns = [
    for name, identity in var.pod_identities : module.pod_identity[name].role_arn
    if identity.mounts_file_system
  ]
}

locals {
  # EFS allows one mount target per zone. It lies in the subnet of the zone's nodes, in the first one if
  # there are several: the initial ones come first, so that a subnet that you add moves no mount target.
  # Terraform knows the keys before the subnets exist.
  existing_subnets = try(distinct(concat(local.initial_subnets, var.existing_vpc.private_subnet_ids)), [])
  subnets_by_zone  = { for id in local.existing_subnets : data.aws_subnet.existing[id].availability_zone => id... }
  mount_subnets = (
    var.existing_vpc == null
    ? { for index, zone in var.availability_zones : zone => local.node_subnet_ids[index] }
    : { for ids in values(local.subnets_by_zone) : ids[0] => ids[0] }
  )
}

data "aws_subnet" "existing" {
  for_each = toset(var.existing_vpc == null ? [] : concat(local.initial_subnets, var.existing_vpc.private_subnet_ids))
  id       = each.value
}

module "artifact_bucket" {
  source = "./modules/bucket"
  count  = var.artifact_bucket ? 1 : 0

  name = local.policy_words.artifact_bucket
}
