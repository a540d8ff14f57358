resource "aws_eks_node_group" "this" {
  cluster_name    = var.cluster_name
  node_group_name = var.name
  node_role_arn   = var.node_role_arn
  subnet_ids      = var.subnet_ids
  ami_type        = var.ami_type
  labels          = var.labels
  version         = var.cluster_version
  release_version = var.release_version

  # Nothing else scales the group: there is no cluster autoscaler. EKS rejects a minimum above the
  # desired size, so all three change together.
  scaling_config {
    min_size     = var.min_size
    max_size     = var.max_size
    desired_size = var.min_size
  }

  update_config {
    max_unavailable = 1
  }

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  dynamic "taint" {
    for_each = var.taints

    content {
      key    = taint.key
      value  = taint.value.value
      effect = taint.value.effect
    }
  }

  tags = { Name = "${var.deployment}-${var.name}" }
}

resource "aws_launch_template" "this" {
  name        = "${var.deployment}-${var.name}"
  description = "Nodes of ${var.deployment}, group ${var.name}"

  # Here and not in the node group, which another type would replace: first deleted, then created. EKS
  # rolls out a new version of the template instead: it adds new nodes before it drains the old ones.
  # https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html
  instance_type = var.instance_type

  metadata_options {
    http_tokens = "required" # IMDSv2 only
    # Pods in their own network namespace are one hop further away: they get no token, and so not the
    # node's credentials. Pods use Pod Identity.
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = var.disk_gib
      encrypted             = true
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    # The provider's default tags apply only to the template; the launched resources need them too.
    for_each = toset(["instance", "volume", "network-interface"])

    content {
      resource_type = tag_specifications.value
      tags = merge(var.tags, {
        Name                 = "${var.deployment}-${var.name}"
        "jarkkit:deployment" = var.deployment
      })
    }
  }
}
