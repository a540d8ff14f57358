variable "name" {
  description = "Name of the cluster and prefix of its resources. Two deployments in one account need different names."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name))
    error_message = "Use 3 to 24 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "region" {
  description = "AWS Region of the deployment."
  type        = string
}

variable "tags" {
  description = "Tags for every resource, in addition to the deployment's own tags."
  type        = map(string)
  default     = {}
}

variable "availability_zones" {
  description = "Names of the Availability Zones. Fixed by name, so that existing subnets never change zone."
  type        = list(string)

  validation {
    condition     = length(distinct(var.availability_zones)) >= 2 && (var.existing_vpc != null || length(var.availability_zones) <= 4)
    error_message = "EKS needs at least two zones; the address plan supports at most four."
  }
}

variable "initial_zones" {
  description = "Zones of the first apply, in which control plane and node groups stay. Empty means all of availability_zones, which is right until the cluster exists."
  type        = list(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.initial_zones, var.availability_zones)) == 0
    error_message = "availability_zones must contain the zones in which the cluster was created."
  }
  validation {
    condition     = length(var.initial_zones) == 0 || length(distinct(var.initial_zones)) >= 2
    error_message = "EKS needs at least two zones."
  }
}

variable "vpc_cidr" {
  description = "CIDR block of the VPC, for load balancers, NAT and the control plane's network interfaces."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && try(tonumber(split("/", var.vpc_cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.vpc_cidr)[1]), 32) <= 22
    error_message = "Set an IPv4 CIDR block between /16 and /22."
  }
}

variable "pod_cidr" {
  description = "Secondary CIDR block for nodes and pods (RFC 6598), so that pods do not use up the routable range."
  type        = string
  default     = "100.64.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.pod_cidr)) && try(tonumber(split("/", var.pod_cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.pod_cidr)[1]), 32) <= 20
    error_message = "Set an IPv4 CIDR block between /16 and /20."
  }
}

variable "nat" {
  description = "`single`: one NAT gateway (cheaper). `per-az`: one per zone, so that nodes stay online when another zone fails."
  type        = string
  default     = "single"

  validation {
    condition     = contains(["single", "per-az"], var.nat)
    error_message = "Set nat to single or per-az."
  }
}

variable "existing_vpc" {
  description = "Your own VPC: its id and subnets in at least two zones. null creates a new VPC. Control plane and node groups stay in initial_subnet_ids; empty means all private subnets, which is right until the cluster exists."
  type = object({
    vpc_id             = string
    private_subnet_ids = list(string)
    public_subnet_ids  = optional(list(string), [])
    initial_subnet_ids = optional(list(string), [])
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
    error_message = "Set a minor version such as 1.36."
  }
}

variable "endpoint_public_cidrs" {
  description = "CIDR blocks that can reach the public endpoint of the Kubernetes API. Empty makes the endpoint private."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = alltrue([for cidr in var.endpoint_public_cidrs : can(cidrnetmask(cidr))])
    error_message = "Set IPv4 CIDR blocks."
  }
}

variable "cluster_log_types" {
  description = "Control plane logs to send to CloudWatch."
  type        = list(string)
  default     = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
}

variable "log_retention_days" {
  description = "Retention of the logs in CloudWatch, in days."
  type        = number
  default     = 14
}

variable "admin_principals" {
  description = "ARNs of IAM roles or users that become cluster administrators, in addition to the principal that created the cluster."
  type        = list(string)
  default     = []
}

variable "permissions_boundary_arn" {
  description = "ARN of the IAM policy that is the permissions boundary of every role. Empty means none."
  type        = string
  default     = ""
}

variable "core_instance_type" {
  description = "Instance type of the core nodes, which run Karpenter and the system pods."
  type        = string
  default     = "m5.xlarge"
}

variable "core_nodes" {
  description = "Number of core nodes. Karpenter's two replicas run on different nodes."
  type        = number
  default     = 2

  validation {
    condition     = var.core_nodes >= 2
    error_message = "Set core_nodes to at least 2."
  }
}

variable "core_nodes_max" {
  description = "Maximum number of core nodes. A rolling update needs the extra capacity."
  type        = number
  default     = 4

  validation {
    condition     = var.core_nodes_max >= var.core_nodes
    error_message = "Set core_nodes_max to at least core_nodes."
  }
}

variable "core_disk_gib" {
  description = "Size of a core node's root volume, in GiB."
  type        = number
  default     = 100
}

variable "node_version" {
  description = "Minor version of Kubernetes of the node groups. null is the cluster's; one behind, for a rollback, which takes the nodes back first."
  type        = string
  default     = null
}

variable "node_release_version" {
  description = "Release version of the AMI of the node groups, such as 1.36.0-20261101. null takes the newest one at creation and keeps it."
  type        = string
  default     = null
}

variable "static_gpu_instance_type" {
  description = "Instance type of the static GPU nodes."
  type        = string
  default     = "g6.4xlarge"
}

variable "static_gpu_nodes" {
  description = "Number of GPU nodes that run all the time, so that GPU pods need not wait for Karpenter. 0 creates none."
  type        = number
  default     = 0
}

variable "eks_addons" {
  description = "EKS managed add-ons by name. An add-on without a version gets the newest one for the cluster's version. `before_compute` installs it before the first node."
  type = map(object({
    version        = optional(string)
    configuration  = optional(string)
    before_compute = optional(bool, false)
  }))
  default = {}
}

variable "pod_identities" {
  description = "AWS permissions of service accounts through EKS Pod Identity. `policy` is a JSON document in which Terraform replaces $${partition}, $${region}, $${account_id}, $${cluster_name}, $${cluster_arn} and $${artifact_bucket}. With `mounts_file_system` the role can mount the shared file system."
  type = map(object({
    namespace        = string
    service_account  = string
    managed_policies = optional(list(string), [])
    policy           = optional(string)

    mounts_file_system = optional(bool, false)
  }))
  default = {}
}

variable "karpenter" {
  description = "Create Karpenter's AWS resources: roles, interruption queue, event rules, access entry."
  type        = bool
  default     = true
}

variable "efs" {
  description = "Create a shared file system for JupyterHub's home and shared folders."
  type        = bool
  default     = true
}

variable "artifact_bucket" {
  description = "Create an S3 bucket for Argo's artifacts and Ray's results."
  type        = bool
  default     = false
}

variable "managed_prometheus" {
  description = "Create an Amazon Managed Service for Prometheus workspace."
  type        = bool
  default     = false
}

variable "budget_usd_per_month" {
  description = "Monthly budget in USD. AWS sends an email when the deployment's cost exceeds 80 % and 100 % of it. 0 creates no budget."
  type        = number
  default     = 0
}

variable "budget_emails" {
  description = "Email addresses that get the budget's notifications."
  type        = list(string)
  default     = []
}
