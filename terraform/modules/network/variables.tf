variable "name" {
  description = "The deployment's name."
  type        = string
}

variable "availability_zones" {
  description = "Names of the zones."
  type        = list(string)
}

variable "vpc_cidr" {
  description = "The VPC's own range."
  type        = string
}

variable "pod_cidr" {
  description = "Secondary range for nodes and pods."
  type        = string
}

variable "nat" {
  description = "single or per-az."
  type        = string
}

variable "log_retention_days" {
  description = "How long the flow log is kept, in days."
  type        = number
}

variable "iam_prefix" {
  description = "What IAM names begin with."
  type        = string
}
