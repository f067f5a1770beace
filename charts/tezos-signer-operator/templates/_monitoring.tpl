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
