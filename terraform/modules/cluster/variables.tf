variable "name" {
  description = "The cluster's name."
  type        = string
}

variable "cluster_version" {
  description = "Minor version of Kubernetes."
  type        = string
}

variable "vpc_id" {
  description = "The VPC of the subnets. A cluster cannot move to another one, so another one replaces it."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets for the control plane's network interfaces."
  type        = list(string)
}

variable "endpoint_public_cidrs" {
  description = "CIDR blocks that can reach the public API endpoint. Empty makes the endpoint private."
  type        = list(string)
}

variable "log_types" {
  description = "Control plane logs to keep."
  type        = list(string)
}

variable "log_retention_days" {
  description = "Retention of the logs, in days."
  type        = number
}

variable "admin_principals" {
  description = "ARNs of additional administrators."
  type        = list(string)
}

variable "iam_prefix" {
  description = "Prefix of IAM names."
  type        = string
}

variable "permissions_boundary" {
  description = "ARN of the permissions boundary of the role; null for none."
  type        = string
}
