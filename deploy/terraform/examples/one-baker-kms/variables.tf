variable "name" {
  description = "The name of the cluster and of what belongs to it."
  type        = string
  default     = "bakers"
}

variable "region" {
  description = "The region."
  type        = string
}

variable "availability_zones" {
  description = "Three zones of the region."
  type        = list(string)
}

variable "public_access_cidrs" {
  description = "Who reaches the API server from the internet: where you run kubectl, Helm and Terraform."
  type        = list(string)
}

variable "namespace" {
  description = "The namespace of the baker: for bakers only (docs/edit.md)."
  type        = string
  default     = "bakers"
}

variable "operator_image" {
  description = "The operator's image, as target/images/tezos-signer-operator.ref. null, as in the first apply: the chart is not installed yet."
  type        = string
  default     = null
}

variable "signer_image" {
  description = "The signer's image, as target/images/tezos-signer.ref."
  type        = string
  default     = null
}

variable "node_endpoint" {
  description = "The RPC address of your Octez node."
  type        = string
  default     = "http://octez-node:8732"
}

variable "scheme" {
  description = "The scheme of the baker's key: tz1, tz2 or tz3."
  type        = string
  default     = "tz3"
}
