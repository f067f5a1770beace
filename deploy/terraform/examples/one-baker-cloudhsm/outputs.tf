output "registry" {
  description = "For `make images REGISTRY=…`."
  value       = module.ecr.registry
}

output "cluster_id" {
  description = "The CloudHSM cluster, for `cluster=…` in docs/cloudhsm.md."
  value       = module.cloudhsm.cluster_id
}

output "clients_security_group_id" {
  description = "The group of the EC2 host on which you make users and keys (docs/cloudhsm.md, step 4)."
  value       = module.security_groups.clients_security_group_id
}

output "tezossigner" {
  description = "The TezosSigner, but for what only you know: publicKey and initialWatermark."
  value = templatefile("${path.module}/tezossigner.yaml.tftpl", {
    namespace     = var.namespace
    addresses     = module.cloudhsm.addresses
    client_image  = var.cloudhsm_client_image
    node_endpoint = var.node_endpoint
  })
}
