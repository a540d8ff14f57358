output "name" {
  description = "The cluster's name, once it is there."
  value       = aws_eks_cluster.this.name
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
  description = "The API's CA certificate, base64."
  value       = aws_eks_cluster.this.certificate_authority[0].data
}

output "version" {
  description = "Minor version of Kubernetes."
  value       = aws_eks_cluster.this.version
}

output "security_group_id" {
  description = "Security group that EKS made for control plane and nodes."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "kms_key_arn" {
  description = "Key that encrypts Kubernetes secrets."
  value       = aws_kms_key.secrets.arn
}
