module "cluster" {
  source = "./modules/cluster"

  name                  = var.name
  cluster_version       = var.cluster_version
  vpc_id                = local.vpc_id
  subnet_ids            = local.control_plane_subnet_ids
  endpoint_public_cidrs = var.endpoint_public_cidrs
  log_types             = var.cluster_log_types
  log_retention_days    = var.log_retention_days
  admin_principals      = var.admin_principals
  iam_prefix            = local.iam_prefix
  permissions_boundary  = local.permissions_boundary

  depends_on = [data.aws_availability_zone.chosen]
}
