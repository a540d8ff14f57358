# The role of all nodes: those of managed node groups and those that Karpenter launches.
resource "aws_iam_role" "node" {
  name        = "${local.iam_prefix}-node"
  description = "Nodes of the EKS cluster ${var.name}"

  permissions_boundary = local.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "node" {
  # No CNI policy: the CNI has its own role (pod_identities). Session Manager replaces SSH.
  for_each = toset([
    "AmazonEKSWorkerNodePolicy",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonSSMManagedInstanceCore",
  ])

  role       = aws_iam_role.node.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/${each.value}"
}

# Without this access entry, nodes start but never join. Terraform creates it before the first node
# group, because EKS would otherwise create one itself that Terraform does not manage.
resource "aws_eks_access_entry" "node" {
  cluster_name  = module.cluster.name
  principal_arn = aws_iam_role.node.arn
  type          = "EC2_LINUX"
}

# For the instances that Karpenter launches. If Karpenter created the profile itself, it would need
# permission to do so, and the profile would remain when the cluster is deleted before Karpenter cleans
# up.
resource "aws_iam_instance_profile" "node" {
  count = var.karpenter ? 1 : 0

  name = "${local.iam_prefix}-node"
  role = aws_iam_role.node.name
}

locals {
  # The node groups follow the cluster, which must be upgraded first. A rollback is the other way round:
  # nodes that are one version behind need not wait.
  node_version = var.node_version == null || var.node_version == var.cluster_version ? module.cluster.version : var.node_version
}

module "core_nodes" {
  source = "./modules/node_group"

  name            = "core"
  deployment      = var.name
  cluster_name    = module.cluster.name
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = local.node_group_subnet_ids
  instance_type   = var.core_instance_type
  cluster_version = local.node_version
  release_version = var.node_release_version
  tags            = var.tags
  min_size        = var.core_nodes
  max_size        = var.core_nodes_max
  disk_gib        = var.core_disk_gib
  ami_type        = "AL2023_x86_64_STANDARD"
  labels          = { "jarkkit/nodes" = "core" }

  # Nodes become Ready only with the CNI, and drain cleanly only while their role still has its policies.
  depends_on = [
    aws_eks_access_entry.node,
    aws_eks_addon.before_compute,
    aws_iam_role_policy_attachment.node,
    module.pod_identity,
  ]
}

module "static_gpu_nodes" {
  source = "./modules/node_group"
  count  = var.static_gpu_nodes > 0 ? 1 : 0

  name            = "static-gpu"
  deployment      = var.name
  cluster_name    = module.cluster.name
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = local.node_group_subnet_ids
  instance_type   = var.static_gpu_instance_type
  cluster_version = local.node_version
  release_version = var.node_release_version
  tags            = var.tags
  min_size        = var.static_gpu_nodes
  max_size        = var.static_gpu_nodes
  disk_gib        = 300 # images of CUDA frameworks are large
  ami_type        = "AL2023_x86_64_NVIDIA"
  labels          = { "jarkkit/nodes" = "static-gpu", accelerator = "nvidia" }
  taints          = { "nvidia.com/gpu" = { value = "true", effect = "NO_SCHEDULE" } }

  depends_on = [
    aws_eks_access_entry.node,
    aws_eks_addon.before_compute,
    aws_iam_role_policy_attachment.node,
    module.pod_identity,
  ]
}
