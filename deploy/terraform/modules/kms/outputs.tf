output "key_arns" {
  description = "The ARN of each signing key, by name: for kmsKey of the TezosSigner. The ARN says most, because an alias can be moved."
  value       = { for name, key in aws_kms_key.signing : name => key.arn }
}

output "sealing_key_arn" {
  description = "The ARN of the sealing key; null if there is none."
  value       = one([for key in aws_kms_key.sealing : key.arn])
}

output "seal_policy_arn" {
  description = "The policy to attach to who makes tz4 keys; null without a sealing key."
  value       = one([for policy in aws_iam_policy.seal : policy.arn])
}
