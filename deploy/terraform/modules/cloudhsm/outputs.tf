output "cluster_id" {
  description = "The id of the cluster, for clusterId of the TezosSigner and for `aws cloudhsmv2 …`."
  value       = aws_cloudhsm_v2_cluster.this.cluster_id
}

output "security_group_id" {
  description = "The security group of the HSMs, which AWS makes. Put no node into it: who is in it can erase an HSM."
  value       = aws_cloudhsm_v2_cluster.this.security_group_id
}

output "addresses" {
  description = "The addresses of the HSMs, for addresses of the TezosSigner."
  value       = [for hsm in aws_cloudhsm_v2_hsm.this : hsm.ip_address]
}
