resource "aws_prometheus_workspace" "this" {
  #checkov:skip=CKV_AWS_238:AWS-owned encryption is on by default; a key of our own costs more than the data is worth.
  count = var.managed_prometheus ? 1 : 0
  alias = var.name
  tags  = { Name = var.name }
}

# Where the CloudWatch add-on's agents write. They would make these groups themselves, without an end
# date, and nobody would remove them.
resource "aws_cloudwatch_log_group" "container_insights" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts with a key of its own.
  #checkov:skip=CKV_AWS_338:How long logs are kept is a setting.
  for_each = contains(keys(var.eks_addons), "amazon-cloudwatch-observability") ? toset([
    "application", "dataplane", "host", "performance",
  ]) : []

  name              = "/aws/containerinsights/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
}
