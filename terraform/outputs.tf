output "account_id" {
  description = "AWS account of the deployment."
  value       = local.account_id
}

output "region" {
  description = "AWS Region of the deployment."
  value       = var.region
}

output "partition" {
  description = "AWS partition (aws, aws-us-gov, aws-cn)."
  value       = local.partition
}

output "availability_zones" {
  description = "Availability Zones of the nodes."
  value       = var.availability_zones
}

output "vpc_id" {
  description = "The VPC: created or existing."
  value       = local.vpc_id
}

output "private_subnet_ids" {
  description = "Subnets of the control plane's network interfaces and of internal load balancers."
  value       = local.private_subnet_ids
}

output "node_subnet_ids" {
  description = "Subnets of nodes and pods."
  value       = local.node_subnet_ids
}

output "cluster_name" {
  description = "Name of the EKS cluster."
  value       = module.cluster.name
}

output "cluster_arn" {
  description = "ARN of the EKS cluster."
  value       = module.cluster.arn
}

output "cluster_endpoint" {
  description = "URL of the Kubernetes API."
  value       = module.cluster.endpoint
}

output "cluster_certificate_authority" {
  description = "The API's CA certificate, base64. Not a secret."
  value       = module.cluster.certificate_authority
}

output "cluster_version" {
  description = "Minor version of Kubernetes that the cluster runs."
  value       = module.cluster.version
}

output "cluster_security_group_id" {
  description = "Security group that EKS created; control plane and nodes share it."
  value       = module.cluster.security_group_id
}

output "node_security_group_id" {
  description = "Security group of the nodes: the cluster's own."
  value       = module.cluster.security_group_id
}

output "node_role_arn" {
  description = "Role of all nodes."
  value       = aws_iam_role.node.arn
}

output "node_role_name" {
  description = "Name of the role of all nodes."
  value       = aws_iam_role.node.name
}

output "node_instance_profile_name" {
  description = "Instance profile of the nodes that Karpenter launches; null without Karpenter."
  value       = var.karpenter ? aws_iam_instance_profile.node[0].name : null
}

output "karpenter" {
  description = "Queue and roles that Karpenter needs; null without Karpenter."
  value = var.karpenter ? {
    queue_name          = module.karpenter[0].queue_name
    controller_role_arn = module.karpenter[0].controller_role_arn
    node_role_name      = aws_iam_role.node.name
  } : null
}

output "efs" {
  description = "The shared file system; null without one."
  value = var.efs ? {
    file_system_id         = module.file_system[0].id
    home_access_point_id   = module.file_system[0].access_point_ids["home"]
    shared_access_point_id = module.file_system[0].access_point_ids["shared"]
  } : null
}

output "artifact_bucket" {
  description = "Name of the artifact bucket; null without one."
  value       = var.artifact_bucket ? module.artifact_bucket[0].name : null
}

output "prometheus" {
  description = "The Managed Prometheus workspace; null without one."
  value = var.managed_prometheus ? {
    workspace_id = aws_prometheus_workspace.this[0].id
    endpoint     = aws_prometheus_workspace.this[0].prometheus_endpoint
  } : null
}

output "pod_identity_roles" {
  description = "Role ARN of each service account with AWS permissions, by add-on."
  value       = { for name, identity in module.pod_identity : name => identity.role_arn }
}

output "kms_key_arn" {
  description = "Key that encrypts Kubernetes secrets."
  value       = module.cluster.kms_key_arn
}
