module "karpenter" {
  source = "./modules/karpenter"
  count  = var.karpenter ? 1 : 0

  name                 = var.name
  region               = var.region
  iam_prefix           = local.iam_prefix
  cluster_name         = module.cluster.name
  cluster_arn          = module.cluster.arn
  permissions_boundary = local.permissions_boundary
  node_role            = { name = aws_iam_role.node.name, arn = aws_iam_role.node.arn }
}
