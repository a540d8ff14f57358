output "vpc_id" {
  description = "The VPC."
  # Resources in the VPC must wait until its secondary range exists.
  value = aws_vpc_ipv4_cidr_block_association.pods.vpc_id
}

output "private_subnet_ids" {
  description = "Subnets of the control plane and of internal load balancers, in the zones' order."
  value       = [for zone in var.availability_zones : aws_subnet.private[zone].id]
  # EKS may take hours to notice a range that the VPC gets after the cluster.
  # https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
  depends_on = [aws_vpc_ipv4_cidr_block_association.pods]
}

output "node_subnet_ids" {
  description = "Subnets of nodes and pods, in the zones' order; available once they have internet access."
  value       = [for zone in var.availability_zones : aws_subnet.nodes[zone].id]
  depends_on  = [aws_route.nat, aws_route_table_association.nodes]
}
