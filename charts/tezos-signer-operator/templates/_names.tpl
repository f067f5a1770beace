{{/* Names, labels and image references of the chart's objects. */}}

{{- define "operator.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) }}{{ $name = printf "%s-%s" .Release.Name .Chart.Name }}{{ end -}}
{{- $name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
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
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
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
