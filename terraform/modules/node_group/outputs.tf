output "name" {
  description = "The group's name, once its nodes are there."
  value       = aws_eks_node_group.this.node_group_name
}
