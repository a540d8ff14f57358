output "vpc_id" {
  description = "The VPC."
  # Nothing may be placed in the VPC before its second range is there.
  value = aws_vpc_ipv4_cidr_block_association.pods.vpc_id
}

output "private_subnet_ids" {
  description = "Subnets of the control plane and of internal load balancers, in the zones' order."
  value       = [for zone in var.availability_zones : aws_subnet.private[zone].id]
}

output "node_subnet_ids" {
  description = "Subnets of nodes and pods, in the zones' order; usable once they have a way out."
  value       = [for zone in var.availability_zones : aws_subnet.nodes[zone].id]
  depends_on  = [aws_route.nat, aws_route_table_association.nodes]
}
