terraform {
  # 1.10 is the first release of Terraform and of OpenTofu with native S3 state locking.
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}
