variable "name" {
  description = "The name of the role."
  type        = string
}

variable "cluster_arn" {
  description = "The EKS cluster: its name and account are in the ARN, and both are in the role's trust policy."
  type        = string

  validation {
    condition     = can(regex("^arn:[^:]+:eks:[^:]+:[0-9]{12}:cluster/.+$", var.cluster_arn))
    error_message = "cluster_arn: expected arn:aws:eks:REGION:ACCOUNT:cluster/NAME."
  }
}

variable "namespace" {
  description = "The namespace of the TezosSigner."
  type        = string
}

variable "tezossigner" {
  description = "The name of the TezosSigner. The operator makes its ServiceAccount, NAME-signer."
  type        = string
}

variable "sign_ecdsa_key_arns" {
  description = "The KMS keys of tz2 and tz3 that it signs with."
  type        = list(string)
  default     = []
}

variable "sign_ed25519_key_arns" {
  description = "The KMS keys of tz1 that it signs with."
  type        = list(string)
  default     = []
}

variable "unseal" {
  description = "The sealing key, and the public keys (BLpk…) of the sealed keys that it may open with it; null: none."
  type        = object({ key_arn = string, public_keys = list(string) })
  default     = null
}

variable "describe_cloudhsm_clusters" {
  description = "Whether it may ask AWS for the addresses of HSMs: for clusterId of the TezosSigner. With addresses, no role is needed."
  type        = bool
  default     = false
}

variable "irsa" {
  description = "The cluster's OIDC provider: then the role is for IRSA, and the ServiceAccount needs an annotation (the output annotations). null: for Pod Identity, with an association."
  type        = object({ oidc_provider_arn = string })
  default     = null
}
