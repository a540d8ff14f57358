# A network of our own, or the one that was brought.

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
}

# Names are chosen by the kit; this holds also for those who write the variables themselves.
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
  # Where the control plane's network interfaces and internal load balancers are.
  private_subnet_ids = var.existing_vpc == null ? module.network[0].private_subnet_ids : var.existing_vpc.private_subnet_ids
  # Where nodes and pods are.
  node_subnet_ids = var.existing_vpc == null ? module.network[0].node_subnet_ids : var.existing_vpc.private_subnet_ids
}
