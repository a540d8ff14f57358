# JupyterHub's shared file system: home folders and a shared folder, with a mount target in every zone.

resource "aws_efs_file_system" "this" {
  #checkov:skip=CKV_AWS_184:EFS encrypts with an AWS managed key; a customer managed key would have to outlive the deployment.
  creation_token  = var.name
  encrypted       = true
  throughput_mode = "elastic"

  lifecycle_policy {
    transition_to_ia = "AFTER_30_DAYS"
  }
  lifecycle_policy {
    transition_to_primary_storage_class = "AFTER_1_ACCESS"
  }

  tags = { Name = var.name }
}

# Without a policy every client in the VPC that reaches a mount target could read and delete every
# file, as root. With it a client needs TLS, an access point and the role of the CSI driver's node pods.
# https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html
resource "aws_efs_file_system_policy" "this" {
  file_system_id = aws_efs_file_system.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "DenyUnencryptedClients"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "*"
        Resource  = aws_efs_file_system.this.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }],
      [for role in var.mount_role_arns : {
        Effect    = "Allow"
        Principal = { AWS = role }
        # Not ClientRootAccess: an access point sets the user.
        Action   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
        Resource = aws_efs_file_system.this.arn
        Condition = {
          Bool       = { "elasticfilesystem:AccessedViaMountTarget" = "true" }
          StringLike = { "elasticfilesystem:AccessPointArn" = "${local.access_points}/*" }
        }
      }],
    )
  })
}

locals {
  access_points = replace(aws_efs_file_system.this.arn, "/:file-system.*/", ":access-point")
}

resource "aws_efs_mount_target" "this" {
  for_each = var.subnets

  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = each.value
  security_groups = [aws_security_group.mount.id]
}

resource "aws_security_group" "mount" {
  name        = "${var.name}-efs"
  description = "Mount targets of the shared file system of ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-efs" }
}

resource "aws_vpc_security_group_ingress_rule" "nfs" {
  security_group_id            = aws_security_group.mount.id
  description                  = "NFS from the nodes"
  referenced_security_group_id = var.node_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049

  tags = { Name = "${var.name}-efs-nfs" }
}

resource "aws_efs_access_point" "this" {
  # JupyterHub's single-user images run as 1000:100 (jovyan:users).
  for_each = { home = "/home", shared = "/shared" }

  file_system_id = aws_efs_file_system.this.id

  posix_user {
    uid = 1000
    gid = 100
  }

  root_directory {
    path = each.value

    creation_info {
      owner_uid   = 1000
      owner_gid   = 100
      permissions = "0770"
    }
  }

  tags = { Name = "${var.name}-${each.key}" }
}
