# The budget counts the cost of resources with the deployment's tag. You must activate the tag for cost
# allocation.
resource "aws_budgets_budget" "this" {
  count = var.budget_usd_per_month > 0 ? 1 : 0

  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.budget_usd_per_month)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:jarkkit:deployment$%s", var.name)]
  }

  dynamic "notification" {
    for_each = toset([80, 100])

    content {
      comparison_operator        = "GREATER_THAN"
      notification_type          = "ACTUAL"
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.budget_emails
    }
  }
}
