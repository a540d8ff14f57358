# The role that all nodes share, managed or Karpenter's.
resource "aws_iam_role" "node" {
  name        = "${local.iam_prefix}-node"
  description = "Nodes of the EKS cluster ${var.name}"

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
  # No CNI policy: the CNI has a role of its own (pod_identities). Session Manager replaces SSH.
  for_each = toset([
    "AmazonEKSWorkerNodePolicy",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonSSMManagedInstanceCore",
  ])

  role       = aws_iam_role.node.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/${each.value}"
}

# Without this entry nodes start and never join. It is there before the first node group: EKS would
# make one then, which nobody looks after.
resource "aws_eks_access_entry" "node" {
  cluster_name  = module.cluster.name
  principal_arn = aws_iam_role.node.arn
  type          = "EC2_LINUX"
}

# For Karpenter's instances. Were it left to Karpenter, a cluster that is gone before Karpenter has
# cleaned up would leave it behind, and Karpenter would need the right to make such things.
resource "aws_iam_instance_profile" "node" {
  count = var.karpenter ? 1 : 0

  name = "${local.iam_prefix}-node"
  role = aws_iam_role.node.name
}

module "core_nodes" {
  source = "./modules/node_group"

  name          = "core"
  cluster_name  = module.cluster.name
  node_role_arn = aws_iam_role.node.arn
  subnet_ids    = local.node_subnet_ids
  instance_type = var.core_instance_type
  min_size      = var.core_nodes
  max_size      = var.core_nodes_max
  disk_gib      = var.core_disk_gib
  ami_type      = "AL2023_x86_64_STANDARD"
  labels        = { "jarkkit/nodes" = "core" }

  # Nodes become Ready only with the CNI, and leave cleanly only while their role may still act.
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

  name          = "static-gpu"
  cluster_name  = module.cluster.name
  node_role_arn = aws_iam_role.node.arn
  subnet_ids    = local.node_subnet_ids
  instance_type = var.static_gpu_instance_type
  min_size      = var.static_gpu_nodes
  max_size      = var.static_gpu_nodes
  disk_gib      = 300 # room for the images of CUDA frameworks
  ami_type      = "AL2023_x86_64_NVIDIA"
  labels        = { "jarkkit/nodes" = "static-gpu", accelerator = "nvidia" }
  taints        = { "nvidia.com/gpu" = { value = "true", effect = "NO_SCHEDULE" } }

  depends_on = [
    aws_eks_access_entry.node,
    aws_eks_addon.before_compute,
    aws_iam_role_policy_attachment.node,
    module.pod_identity,
  ]
}
