output "queue_name" {
  description = "Name of the interruption queue."
  value       = aws_sqs_queue.interruptions.name
}

output "controller_role_arn" {
  description = "Role of the controller's service account karpenter/karpenter."
  value       = module.controller.role_arn
}
