{{/* What the objects of monitoring share. */}}

{{/* Not empty where objects of the Prometheus operator are to be made. */}}
{{- define "operator.rendersMonitoring" -}}
{{- $mode := (.Values.prometheusOperator).renderMode | default "alwaysRender" -}}
{{- if or (eq $mode "alwaysRender") (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
true
{{- else if eq $mode "failIfMissing" -}}
{{- fail "the definitions of the Prometheus operator (monitoring.coreos.com/v1) are not installed: install them first, or set prometheusOperator.renderMode to skipIfMissing" -}}
{{- end -}}
{{- end }}

{{/* How an endpoint is scraped: of .Values.podMonitor or .Values.serviceMonitor. */}}
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
