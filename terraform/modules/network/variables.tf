variable "name" {
  description = "The deployment's name."
  type        = string
}

variable "availability_zones" {
  description = "Names of the Availability Zones."
  type        = list(string)
}

variable "vpc_cidr" {
  description = "Primary CIDR block of the VPC."
  type        = string
}

variable "pod_cidr" {
  description = "Secondary CIDR block for nodes and pods."
  type        = string
}

variable "nat" {
  description = "NAT gateways: `single` or `per-az`."
  type        = string
}

variable "log_retention_days" {
  description = "Retention of the flow log, in days."
  type        = number
}

variable "iam_prefix" {
  description = "Prefix of IAM names."
  type        = string
}

variable "permissions_boundary" {
  description = "ARN of the permissions boundary of the role; null for none."
  type        = string
}
