# The shared file system of JupyterHub: home folders and a shared folder, reachable in every zone.

resource "aws_efs_file_system" "this" {
  #checkov:skip=CKV_AWS_184:EFS encrypts with AWS' own key; a key of our own would have to outlive the deployment to be of use.
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
  # 1000:100 is who JupyterHub's single-user images run as (jovyan:users).
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
