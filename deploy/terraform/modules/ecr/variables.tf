variable "prefix" {
  description = "What the repositories' names begin with: with \"tezos\", tezos/tezos-signer and so on."
  type        = string
  default     = "tezos"
}

variable "images" {
  description = "The images. cloudhsm-client is AWS's client, which you build (images/cloudhsm); without CloudHSM, leave it out."
  type        = list(string)
  default     = ["tezos-signer", "tezos-signer-operator", "cloudhsm-client"]
}
