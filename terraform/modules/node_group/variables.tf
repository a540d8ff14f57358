variable "name" {
  description = "The group's name."
  type        = string
}

variable "cluster_name" {
  description = "The cluster it belongs to."
  type        = string
}

variable "node_role_arn" {
  description = "Role of its nodes."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of its nodes."
  type        = list(string)
}

variable "instance_type" {
  description = "Instance type of its nodes."
  type        = string
}

variable "min_size" {
  description = "Nodes at least, and to begin with."
  type        = number
}

variable "max_size" {
  description = "Nodes at most."
  type        = number
}

variable "disk_gib" {
  description = "Root volume of a node, in GiB."
  type        = number
}

variable "ami_type" {
  description = "Which of EKS' own images, such as AL2023_x86_64_STANDARD."
  type        = string
}

variable "labels" {
  description = "Labels of its nodes."
  type        = map(string)
  default     = {}
}

variable "taints" {
  description = "Taints of its nodes, by key."
  type = map(object({
    value  = string
    effect = string
  }))
  default = {}
}
