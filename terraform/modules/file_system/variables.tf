variable "name" {
  description = "The deployment's name."
  type        = string
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnets" {
  description = "One subnet per zone that nodes run in, by a key that is known in advance."
  type        = map(string)
}

variable "node_security_group_id" {
  description = "Security group of the nodes, who may mount."
  type        = string
}
