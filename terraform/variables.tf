variable "name" {
  description = "Names the cluster and everything around it. Two deployments in one account need different names."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "3 to 24 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "region" {
  description = "AWS Region to build in."
  type        = string
}

variable "tags" {
  description = "Put on every resource beside the deployment's own tags."
  type        = map(string)
  default     = {}
}

variable "availability_zones" {
  description = "Names of the zones to span. Given by name, so that they never move under subnets that exist."
  type        = list(string)

  validation {
    condition     = length(distinct(var.availability_zones)) >= 2 && length(var.availability_zones) <= 4
    error_message = "EKS needs two zones; four are the most that the address plan has room for."
  }
}

variable "vpc_cidr" {
  description = "Address range of the VPC: load balancers, NAT and the control plane's network interfaces."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && try(tonumber(split("/", var.vpc_cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.vpc_cidr)[1]), 32) <= 22
    error_message = "An IPv4 CIDR block between /16 and /22."
  }
}

variable "pod_cidr" {
  description = "Secondary range for nodes and pods (RFC 6598), so that pods do not use up the routable range."
  type        = string
  default     = "100.64.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.pod_cidr)) && try(tonumber(split("/", var.pod_cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.pod_cidr)[1]), 32) <= 20
    error_message = "An IPv4 CIDR block between /16 and /20."
  }
}

variable "nat" {
  description = "One NAT gateway in all (cheaper), or one per zone (a zone's nodes stay online when another zone fails)."
  type        = string
  default     = "single"

  validation {
    condition     = contains(["single", "per-az"], var.nat)
    error_message = "Either single or per-az."
  }
}

variable "existing_vpc" {
  description = "Bring your own VPC: its id and subnets in at least two zones. null makes a new one."
  type = object({
    vpc_id             = string
    private_subnet_ids = list(string)
    public_subnet_ids  = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.existing_vpc == null ? true : length(distinct(var.existing_vpc.private_subnet_ids)) >= 2
    error_message = "EKS needs private subnets in at least two zones."
  }
}

variable "cluster_version" {
  description = "Minor version of Kubernetes."
  type        = string
  default     = "1.36"

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.cluster_version))
    error_message = "A minor version such as 1.36."
  }
}

variable "endpoint_public_cidrs" {
  description = "Networks that may open a connection to the Kubernetes API from outside. Empty makes the endpoint private."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = alltrue([for cidr in var.endpoint_public_cidrs : can(cidrnetmask(cidr))])
    error_message = "IPv4 CIDR blocks."
  }
}

variable "cluster_log_types" {
  description = "Control-plane logs that go to CloudWatch."
  type        = list(string)
  default     = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps the logs, in days."
  type        = number
  default     = 14
}

variable "admin_principals" {
  description = "ARNs of IAM roles or users that become cluster administrators beside the one who deploys."
  type        = list(string)
  default     = []
}

variable "core_instance_type" {
  description = "Instance type of the core nodes, which carry Karpenter and the system pods."
  type        = string
  default     = "m5.xlarge"
}

variable "core_nodes" {
  description = "Core nodes at least. Karpenter's two replicas run on different nodes."
  type        = number
  default     = 2

  validation {
    condition     = var.core_nodes >= 2
    error_message = "At least two."
  }
}

variable "core_nodes_max" {
  description = "Core nodes at most: the room that a rolling update needs."
  type        = number
  default     = 4

  validation {
    condition     = var.core_nodes_max >= var.core_nodes
    error_message = "Not less than core_nodes."
  }
}

variable "core_disk_gib" {
  description = "Root volume of a node, in GiB."
  type        = number
  default     = 100
}

variable "static_gpu_instance_type" {
  description = "Instance type of GPU nodes that run all the time."
  type        = string
  default     = "g6.4xlarge"
}

variable "static_gpu_nodes" {
  description = "GPU nodes that run all the time, for those who cannot wait for Karpenter. 0 makes none."
  type        = number
  default     = 0
}

variable "eks_addons" {
  description = "EKS managed add-ons by name. Without a version the newest for the cluster's version is taken; `before_compute` ones come before the first node."
  type = map(object({
    version        = optional(string)
    configuration  = optional(string)
    before_compute = optional(bool, false)
  }))
  default = {}
}

variable "pod_identities" {
  description = "Which AWS permissions a service account gets through EKS Pod Identity. In `policy`, a JSON document, $${partition}, $${region}, $${account_id}, $${cluster_name}, $${cluster_arn} and $${artifact_bucket} are filled in."
  type = map(object({
    namespace        = string
    service_account  = string
    managed_policies = optional(list(string), [])
    policy           = optional(string)
  }))
  default = {}
}

variable "karpenter" {
  description = "Make Karpenter's AWS side: roles, interruption queue, event rules, access entry."
  type        = bool
  default     = true
}

variable "efs" {
  description = "Make a shared file system for JupyterHub's home and shared folders."
  type        = bool
  default     = true
}

variable "artifact_bucket" {
  description = "Make an S3 bucket for Argo's artifacts and Ray's results."
  type        = bool
  default     = false
}

variable "managed_prometheus" {
  description = "Make an Amazon Managed Service for Prometheus workspace."
  type        = bool
  default     = false
}

variable "budget_usd_per_month" {
  description = "Mail when the deployment's cost passes 80 % and 100 % of this, in USD per month. 0 makes no budget."
  type        = number
  default     = 0
}

variable "budget_emails" {
  description = "Who gets the budget's mails."
  type        = list(string)
  default     = []
}
