variable "name" {
  description = "The cluster's name."
  type        = string
}

variable "cluster_version" {
  description = "Minor version of Kubernetes."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets for the control plane's network interfaces."
  type        = list(string)
}

variable "endpoint_public_cidrs" {
  description = "Networks that may reach the API from outside. Empty makes the endpoint private."
  type        = list(string)
}

variable "log_types" {
  description = "Control-plane logs to keep."
  type        = list(string)
}

variable "log_retention_days" {
  description = "How long they are kept, in days."
  type        = number
}

variable "admin_principals" {
  description = "More administrators, as IAM ARNs."
  type        = list(string)
}

variable "iam_prefix" {
  description = "What IAM names begin with."
  type        = string
}
