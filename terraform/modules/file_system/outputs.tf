output "id" {
  description = "The file system's id, available once pods can mount it."
  value       = aws_efs_file_system.this.id
  depends_on = [
    aws_efs_file_system_policy.this,
    aws_efs_mount_target.this,
    aws_vpc_security_group_ingress_rule.nfs,
  ]
}

output "access_point_ids" {
  description = "Access point ids by purpose: home, shared."
  value       = { for purpose, point in aws_efs_access_point.this : purpose => point.id }
}
