output "values" {
  description = "The values that the chart is given, as texts in YAML; the last wins."
  value       = [yamlencode(local.values), yamlencode(var.extra_values)]
}
