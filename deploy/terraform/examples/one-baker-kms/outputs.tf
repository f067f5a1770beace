output "registry" {
  description = "For `make images REGISTRY=…`."
  value       = module.ecr.registry
}

output "kms_key_arn" {
  description = "The baker's key, for `tezos-signer keys list --kms-key`."
  value       = module.kms.key_arns["baker-one"]
}

output "tezossigner" {
  description = "The TezosSigner, but for what only you know: publicKey and initialWatermark."
  value = templatefile("${path.module}/tezossigner.yaml.tftpl", {
    namespace     = var.namespace
    region        = var.region
    kms_key       = module.kms.key_arns["baker-one"]
    node_endpoint = var.node_endpoint
    annotations   = module.signer_role.annotations
  })
}
