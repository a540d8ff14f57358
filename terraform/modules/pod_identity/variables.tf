variable "role_name" {
  description = "Name of the role."
  type        = string

  validation {
    condition     = length(var.role_name) <= 64
    error_message = "IAM role names have at most 64 characters."
  }
}

variable "cluster_name" {
  description = "The cluster."
  type        = string
}

variable "cluster_arn" {
  description = "The cluster's ARN: only its pods may take the role."
  type        = string
}

variable "namespace" {
  description = "Namespace of the service account."
  type        = string
}

variable "service_account" {
  description = "The service account."
  type        = string
}

variable "managed_policies" {
  description = "AWS managed policies, by name with path."
  type        = list(string)
  default     = []
}

variable "policies" {
  description = "Inline policies by name, as JSON. The names must be known when planning; the documents need not."
  type        = map(string)
  default     = {}
}
