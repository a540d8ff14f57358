output "name" {
  description = "The node group's name, available once its nodes exist."
  value       = aws_eks_node_group.this.node_group_name
}
