resource "aws_prometheus_workspace" "this" {
  #checkov:skip=CKV_AWS_238:AWS-owned encryption is on by default; a customer managed key costs more than the data is worth.
  count = var.managed_prometheus ? 1 : 0
  alias = var.name
  tags  = { Name = var.name }
}

# The CloudWatch add-on's agents write to these log groups. The agents would create them without a
# retention period, and cleanup would not delete them.
resource "aws_cloudwatch_log_group" "container_insights" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts at rest by default.
  #checkov:skip=CKV_AWS_338:log_retention_days sets the retention.
  for_each = contains(keys(var.eks_addons), "amazon-cloudwatch-observability") ? toset([
    "application", "dataplane", "host", "performance",
  ]) : []

  name              = "/aws/containerinsights/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
}
