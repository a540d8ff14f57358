# A new network, or the existing VPC that you bring.

module "network" {
  source = "./modules/network"
  count  = var.existing_vpc == null ? 1 : 0

  name               = var.name
  availability_zones = var.availability_zones
  vpc_cidr           = var.vpc_cidr
  pod_cidr           = var.pod_cidr
  nat                = var.nat
  log_retention_days = var.log_retention_days
  iam_prefix         = local.iam_prefix

  permissions_boundary = local.permissions_boundary
}

# jarkkit picks valid zones. These checks also cover variables that you write yourself.
data "aws_availability_zone" "chosen" {
  for_each = toset(var.availability_zones)
  name     = each.value

  lifecycle {
    postcondition {
      # https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
      condition     = !contains(["use1-az3", "usw1-az2", "cac1-az3"], self.zone_id)
      error_message = "Amazon EKS cannot place a control plane in ${self.name} (${self.zone_id}): choose another zone."
    }
    postcondition {
      condition     = self.zone_type == "availability-zone"
      error_message = "${self.name} is a ${self.zone_type}; EKS control planes need Availability Zones."
    }
  }
}

locals {
  vpc_id = var.existing_vpc == null ? module.network[0].vpc_id : var.existing_vpc.vpc_id
  # Subnets of the control plane's network interfaces and of internal load balancers.
  private_subnet_ids = var.existing_vpc == null ? module.network[0].private_subnet_ids : var.existing_vpc.private_subnet_ids
  # Subnets of nodes and pods.
  node_subnet_ids = var.existing_vpc == null ? module.network[0].node_subnet_ids : var.existing_vpc.private_subnet_ids

  # EKS accepts subnets for a control plane only in the zones in which it was created, and it replaces
  # a node group whose subnets change. So both keep the zones of the first apply. Zones that you add
  # later get subnets, mount targets and Karpenter's nodes.
  initial_zones   = length(var.initial_zones) > 0 ? var.initial_zones : var.availability_zones
  initial_subnets = try(length(var.existing_vpc.initial_subnet_ids), 0) > 0 ? var.existing_vpc.initial_subnet_ids : local.private_subnet_ids

  control_plane_subnet_ids = (
    var.existing_vpc == null
    ? [for zone in local.initial_zones : local.private_subnet_ids[index(var.availability_zones, zone)]]
    : local.initial_subnets
  )
  node_group_subnet_ids = (
    var.existing_vpc == null
    ? [for zone in local.initial_zones : local.node_subnet_ids[index(var.availability_zones, zone)]]
    : local.initial_subnets
  )
}
