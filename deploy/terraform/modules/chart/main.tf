# The operator, by its chart. One release in a cluster.

locals {
  monitoring = { for name, value in {
    podMonitor       = { enabled = true, labels = { release = var.prometheus_release } }
    prometheusRule   = { enabled = true, labels = { release = var.prometheus_release } }
    grafanaDashboard = { enabled = true }
  } : name => value if var.prometheus_release != null }

  values = merge({
    image           = { reference = var.operator_image }
    signerImage     = { reference = var.signer_image }
    watchNamespaces = var.watch_namespaces
    nodeSelector    = var.node_selector
  }, local.monitoring)
}

resource "helm_release" "this" {
  name             = "tezos-signer-operator"
  namespace        = var.namespace
  create_namespace = true
  chart            = coalesce(var.chart, "${path.module}/../../../../charts/tezos-signer-operator")
  version          = var.chart_version
  values           = [yamlencode(local.values), yamlencode(var.extra_values)]

  # Hooks stay on: `terraform destroy` fails while TezosSigners exist, as `helm uninstall` does.
  disable_webhooks = false
  wait             = true
  timeout          = 300
}
