{{/* Definitions that the monitoring objects share. */}}

{{/* Not empty if objects of the Prometheus operator are rendered. */}}
{{- define "operator.rendersMonitoring" -}}
{{- $mode := (.Values.prometheusOperator).renderMode | default "alwaysRender" -}}
{{- if or (eq $mode "alwaysRender") (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
true
{{- else if eq $mode "failIfMissing" -}}
{{- fail "the CRDs of the Prometheus operator (monitoring.coreos.com/v1) are not installed: install them first, or set prometheusOperator.renderMode to skipIfMissing" -}}
{{- end -}}
{{- end }}

{{/* How an endpoint is scraped. Argument: .Values.podMonitor or .Values.serviceMonitor. */}}
{{- define "operator.scrape" -}}
path: /metrics
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{/* In which namespaces signers are scraped, and how. Argument: (list $ label), with the label of the pods that has the name of the TezosSigner, as
Prometheus writes it. */}}
{{- define "operator.signersEndpoint" -}}
{{- $root := first . -}}
{{- $monitor := $root.Values.podMonitor -}}
namespaceSelector:
  {{- with $root.Values.watchNamespaces }}
  matchNames:
  {{- toYaml . | nindent 2 }}
  {{- else }}
  any: true
  {{- end }}
podMetricsEndpoints:
- port: signer-admin
  {{- include "operator.scrape" $monitor | nindent 2 }}
  relabelings:
  # The name of the TezosSigner, which alerts and dashboards use.
  - sourceLabels: [__meta_kubernetes_pod_label_{{ last . }}]
    targetLabel: tezossigner
    action: replace
  {{- with $monitor.relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
