resource "aws_prometheus_workspace" "this" {
  #checkov:skip=CKV_AWS_238:AWS-owned encryption is on by default; a key of our own costs more than the data is worth.
  count = var.managed_prometheus ? 1 : 0
  alias = var.name
  tags  = { Name = var.name }
}
