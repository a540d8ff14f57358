variable "name" {
  description = "The deployment's name."
  type        = string
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnets" {
  description = "One subnet per zone of the nodes, by a key that Terraform knows at plan time."
  type        = map(string)
}

variable "mount_role_arns" {
  description = "Roles that can mount the file system, through its access points only."
  type        = list(string)
}

variable "node_security_group_id" {
  description = "Security group of the nodes that mount the file system."
  type        = string
}
