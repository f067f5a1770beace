variable "chart" {
  description = "The chart: a folder, a package, or oci://…. Default: the one in this checkout."
  type        = string
  default     = null
}

variable "chart_version" {
  description = "The version of a chart from a registry. null with a folder or package."
  type        = string
  default     = null
}

variable "namespace" {
  description = "The namespace of the operator. Helm makes it."
  type        = string
  default     = "tezos-signer-system"
}

variable "operator_image" {
  description = "The operator's image: the complete reference, as `make images` writes it to target/images/tezos-signer-operator.ref."
  type        = string

  validation {
    condition     = can(regex("^[^ /]+/.+(:[^/:@]+|@sha256:[0-9a-f]{64})$", var.operator_image)) && !endswith(var.operator_image, ":latest")
    error_message = "operator_image: expected a registry, and a tag that is not latest or a digest, such as the content of target/images/tezos-signer-operator.ref."
  }
}

variable "signer_image" {
  description = "The signer's image for new TezosSigners, as target/images/tezos-signer.ref. A change restarts no signer."
  type        = string

  validation {
    condition     = can(regex("^[^ /]+/.+(:[^/:@]+|@sha256:[0-9a-f]{64})$", var.signer_image)) && !endswith(var.signer_image, ":latest")
    error_message = "signer_image: expected a registry, and a tag that is not latest or a digest, such as the content of target/images/tezos-signer.ref."
  }
}

variable "watch_namespaces" {
  description = "The namespaces that the operator watches, which must exist. Empty: all."
  type        = list(string)
  default     = []
}

variable "node_selector" {
  description = "Labels of the nodes on which the operator runs. Empty: any without a taint."
  type        = map(string)
  default     = {}
}

variable "prometheus_release" {
  description = "The release of kube-prometheus-stack that scrapes: then the chart makes PodMonitors, alerts and dashboards with its label. null: none of them."
  type        = string
  default     = null
}

variable "extra_values" {
  description = "Further values of the chart, which win over those of this module. The chart's README lists them all; a name that it does not know is an error."
  type        = any
  default     = {}
}
