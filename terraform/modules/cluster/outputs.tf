output "name" {
  description = "The cluster's name, available once the cluster exists."
  # The id, and not the name: it is unknown while a replacement is planned. So Terraform replaces what
  # AWS deletes with the cluster, and deletes the node groups first.
  value = aws_eks_cluster.this.id
}

output "arn" {
  description = "The cluster's ARN."
  value       = aws_eks_cluster.this.arn
}

output "endpoint" {
  description = "URL of the Kubernetes API."
  value       = aws_eks_cluster.this.endpoint
}

output "certificate_authority" {
  description = "The API's CA certificate, base64; empty while the cluster has none, as one that failed."
  value       = try(aws_eks_cluster.this.certificate_authority[0].data, "")
}

output "version" {
  description = "Minor version of Kubernetes."
  value       = aws_eks_cluster.this.version
}

output "security_group_id" {
  description = "Security group that EKS created for control plane and nodes; empty while there is none."
  value       = try(aws_eks_cluster.this.vpc_config[0].cluster_security_group_id, "")
}

output "kms_key_arn" {
  description = "Key that encrypts Kubernetes secrets."
  value       = aws_kms_key.secrets.arn
}
