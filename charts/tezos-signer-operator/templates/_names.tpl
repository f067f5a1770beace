{{/* Names, labels and image references of the chart's objects. */}}

{{/* The name of the chart. Not .Chart.Name, which is the alias if the chart is a dependency with an alias: policies, selectors and
docs/installing.md rely on the label, and with the alias tezos-signer the operator's pod would look like a signer's. */}}
{{- define "operator.chart" -}}
tezos-signer-operator
{{- end }}

{{- define "operator.name" -}}
{{- $name := .Release.Name -}}
{{- $chart := include "operator.chart" . -}}
{{- if not (contains $chart $name) }}{{ $name = printf "%s-%s" .Release.Name $chart }}{{ end -}}
{{- $name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "operator.selector" -}}
app.kubernetes.io/name: {{ include "operator.chart" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "operator.labels" -}}
{{ include "operator.labelsWith" (list . dict) }}
{{- end }}

{{/* Labels with additional labels of one object. Argument: (list $ .labels). If a label is set more than once, the chart's own value wins,
because objects are selected by it, then the object's, then that of commonLabels. */}}
{{- define "operator.labelsWith" -}}
{{- $root := first . -}}
{{- $chart := include "operator.chartLabels" $root | fromYaml -}}
{{ merge $chart (last . | default dict) ($root.Values.commonLabels | default dict) | toYaml }}
{{- end }}

{{- define "operator.chartLabels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (include "operator.chart" .) .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The labels that all pods with a signer have, for any TezosSigner: operator/src/names.rs. */}}
{{- define "operator.signers" -}}
app.kubernetes.io/name: tezos-signer
app.kubernetes.io/managed-by: tezos-signer-operator
{{- end }}

{{/* The reference of an image. Argument: (dict "image" .Values.x "default" .Chart.AppVersion). */}}
{{- define "operator.image" -}}
{{- if .image.reference -}}
{{ .image.reference }}
{{- else if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .default }}
{{- end -}}
{{- end }}
