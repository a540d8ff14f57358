resource "aws_eks_node_group" "this" {
  cluster_name    = var.cluster_name
  node_group_name = var.name
  node_role_arn   = var.node_role_arn
  subnet_ids      = var.subnet_ids
  instance_types  = [var.instance_type]
  ami_type        = var.ami_type
  labels          = var.labels

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

  tags = { Name = "${var.cluster_name}-${var.name}" }

  lifecycle {
    # An operator or an autoscaler may have changed the size; a plan must not undo that.
    ignore_changes = [scaling_config[0].desired_size]
  }
}

resource "aws_launch_template" "this" {
  #checkov:skip=CKV_AWS_341:Two hops, because pods in their own network namespace are one hop further away than the node.
  name        = "${var.cluster_name}-${var.name}"
  description = "Nodes of ${var.cluster_name}, group ${var.name}"

  metadata_options {
    http_tokens                 = "required" # IMDSv2 only
    http_put_response_hop_limit = 2
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
    # The provider's default tags end at the template; what it launches needs them too.
    for_each = toset(["instance", "volume", "network-interface"])

    content {
      resource_type = tag_specifications.value
      tags = {
        Name                 = "${var.cluster_name}-${var.name}"
        "jarkkit:deployment" = var.cluster_name
      }
    }
  }
}
