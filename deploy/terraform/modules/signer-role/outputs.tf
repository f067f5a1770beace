output "role_arn" {
  description = "The ARN of the role."
  value       = aws_iam_role.this.arn
}

output "annotations" {
  description = "For spec.serviceAccount.annotations of the TezosSigner: IRSA's annotation, or none with Pod Identity."
  value       = var.irsa == null ? {} : { "eks.amazonaws.com/role-arn" = aws_iam_role.this.arn }
}
