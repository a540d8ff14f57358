variable "role_name" {
  description = "Name of the role."
  type        = string

  validation {
    condition     = length(var.role_name) <= 64
    error_message = "IAM role names have at most 64 characters."
  }
}

variable "cluster_name" {
  description = "The cluster's name."
  type        = string
}

variable "cluster_arn" {
  description = "The cluster's ARN: only its pods can assume the role."
  type        = string
}

variable "namespace" {
  description = "Namespace of the service account."
  type        = string
}

variable "service_account" {
  description = "Name of the service account."
  type        = string
}

variable "managed_policies" {
  description = "Names of AWS managed policies, with their path."
  type        = list(string)
  default     = []
}

variable "policies" {
  description = "Inline policies by name, as JSON. Terraform must know the names at plan time, but not the documents."
  type        = map(string)
  default     = {}
}

variable "permissions_boundary" {
  description = "ARN of the permissions boundary of the role; null for none."
  type        = string
}
