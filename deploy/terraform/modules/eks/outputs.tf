output "cluster_name" {
  description = "The name of the cluster."
  value       = aws_eks_cluster.this.name
}

output "cluster_arn" {
  description = "The ARN of the cluster, for the module signer-role."
  value       = aws_eks_cluster.this.arn
}

output "endpoint" {
  description = "The address of the API server."
  value       = aws_eks_cluster.this.endpoint
}

output "certificate_authority" {
  description = "The authority of the API server's certificate, in PEM."
  value       = base64decode(aws_eks_cluster.this.certificate_authority[0].data)
}

output "security_group_id" {
  description = "The cluster's own security group, which nodes have. A SecurityGroupPolicy must name it too."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "oidc_provider_arn" {
  description = "The OIDC provider for IRSA; null without irsa."
  value       = one([for provider in aws_iam_openid_connect_provider.this : provider.arn])
}
