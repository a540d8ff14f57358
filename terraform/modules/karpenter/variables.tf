variable "name" {
  description = "The deployment's name."
  type        = string
}

variable "region" {
  description = "AWS Region of the cluster."
  type        = string
}

variable "iam_prefix" {
  description = "Prefix of IAM names."
  type        = string
}

variable "cluster_name" {
  description = "The cluster's name."
  type        = string
}

variable "cluster_arn" {
  description = "The cluster's ARN."
  type        = string
}

variable "node_role" {
  description = "Role of the nodes that Karpenter launches."
  type = object({
    name = string
    arn  = string
  })
}

variable "permissions_boundary" {
  description = "ARN of the permissions boundary of the role; null for none."
  type        = string
}
