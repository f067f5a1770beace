variable "name" {
  description = "The name of the cluster."
  type        = string
}

variable "kubernetes_version" {
  description = "1.33 or later. A version that has left AWS's standard support costs six times as much: docs/costs.md."
  type        = string
  default     = "1.36"

  validation {
    condition     = tonumber(split(".", var.kubernetes_version)[0]) == 1 && tonumber(split(".", var.kubernetes_version)[1]) >= 33
    error_message = "kubernetes_version: expected 1.33 or later: the signer is a native sidecar."
  }
}

variable "subnet_ids" {
  description = "The private subnets of the nodes, in at least two zones."
  type        = list(string)
}

variable "public_access_cidrs" {
  description = "Who reaches the API server from the internet, such as [\"198.51.100.7/32\"]. Empty: nobody; then run kubectl, Helm and Terraform inside the VPC."
  type        = list(string)
  default     = []
}

variable "admin_role_arns" {
  description = "The IAM roles that are cluster-admin. Who applies this module is one too."
  type        = list(string)
  default     = []
}

variable "secrets_kms_key_arn" {
  description = "A symmetric KMS key of yours that encrypts Secrets in etcd, or null: EKS encrypts them with a key of its own."
  type        = string
  default     = null
}

variable "log_types" {
  description = "The logs of the control plane. audit has who changed a record, and grows with each signature: docs/costs.md."
  type        = list(string)
  default     = ["api", "audit", "authenticator"]
}

variable "log_retention_in_days" {
  description = "How long the control plane's logs are kept."
  type        = number
  default     = 90
}

variable "node_groups" {
  description = "The groups of nodes by name. security_group_ids are added to the cluster's own: give cloudhsm-clients to the bakers' group only, with a taint, so that nothing else runs there. zone_index pins a group to one subnet, as EBS disks are."
  type = map(object({
    instance_types     = list(string)
    size               = number
    ami_type           = optional(string, "AL2023_x86_64_STANDARD")
    security_group_ids = optional(list(string), [])
    labels             = optional(map(string), {})
    taints             = optional(list(object({ key = string, value = string, effect = string })), [])
    zone_index         = optional(number)
  }))
}

variable "irsa" {
  description = "Whether to make the OIDC provider that IRSA needs. Pod Identity, which is always there, needs none."
  type        = bool
  default     = false
}
