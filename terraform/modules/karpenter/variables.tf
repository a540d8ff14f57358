variable "name" {
  description = "The deployment's name."
  type        = string
}

variable "region" {
  description = "The Region."
  type        = string
}

variable "iam_prefix" {
  description = "What IAM names begin with."
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
  description = "The role that Karpenter's nodes get."
  type = object({
    name = string
    arn  = string
  })
}
