variable "name" {
  description = "The node group's name."
  type        = string
}

variable "deployment" {
  description = "Name of the deployment, for names and tags."
  type        = string
}

variable "cluster_name" {
  description = "The cluster's name."
  type        = string
}

variable "node_role_arn" {
  description = "ARN of the nodes' role."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the nodes."
  type        = list(string)
}

variable "instance_type" {
  description = "Instance type of the nodes."
  type        = string
}

variable "cluster_version" {
  description = "Minor version of Kubernetes, the same as the cluster's: EKS upgrades no cluster whose node groups are behind."
  type        = string
}

variable "release_version" {
  description = "Release version of the AMI; null takes the newest one at creation and keeps it."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of the instances, volumes and network interfaces, in addition to the deployment's own."
  type        = map(string)
  default     = {}
}

variable "min_size" {
  description = "Minimum and desired number of nodes."
  type        = number
}

variable "max_size" {
  description = "Maximum number of nodes."
  type        = number
}

variable "disk_gib" {
  description = "Size of a node's root volume, in GiB."
  type        = number
}

variable "ami_type" {
  description = "AMI type of EKS, such as AL2023_x86_64_STANDARD."
  type        = string
}

variable "labels" {
  description = "Labels of the nodes."
  type        = map(string)
  default     = {}
}

variable "taints" {
  description = "Taints of the nodes, by key."
  type = map(object({
    value  = string
    effect = string
  }))
  default = {}
}
