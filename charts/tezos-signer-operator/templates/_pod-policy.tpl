{{/* Expressions and fields that the admission policies use several times. */}}

{{/* The defaults of matchConstraints. The field is atomic: if the API server added them, what it stores would differ from what was applied,
and each further field manager (kubectl apply --server-side, Argo CD, Flux) would conflict or show a difference for ever. */}}
{{- define "policy.matchDefaults" -}}
matchPolicy: Equivalent
objectSelector: {}
{{- end }}

{{/* True if the ServiceAccount of that name in the request's namespace belongs to a signer. The operator grants only signers a right on a
resource that does not exist, which identifies them: operator/src/build/access.rs. The name is compared first, because the other check
costs a call of the authorizer. */}}
{{- define "podPolicy.isSigner" -}}
({{ . }}.endsWith('-signer') && {{ include "podPolicy.hasRecords" . }})
{{- end }}

{{/* The same for accounts with any name: those of spec.inject are the users'. Accounts with all rights, such as cluster-admins, are no signers. */}}
{{- define "podPolicy.hasRecords" -}}
{{- $rights := printf "authorizer.serviceAccount(request.namespace, %s).group('signer.tezos.io').resource('records').namespace('tezos-signer-records')" . -}}
({{ . }}.matches('^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$')
        && {{ $rights }}.check('hold').allowed() && !{{ $rights }}.check('everything').allowed())
{{- end }}

{{/* A selector for the namespaces in which TezosSigners may be. */}}
{{- define "podPolicy.namespaces" -}}
{{- with .Values.watchNamespaces -}}
namespaceSelector:
  matchExpressions:
  # The API server sets this label itself, and nobody can change it.
  - key: kubernetes.io/metadata.name
    operator: In
    values:
    {{- range . }}
    - {{ . | quote }}
    {{- end }}
{{- else -}}
namespaceSelector: {}
{{- end }}
{{- end }}

{{/* The binding that enforces a policy. Argument: (list $ name). */}}
{{- define "podPolicy.binding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ last . }}
  labels:
    {{- include "operator.labels" (first .) | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
spec:
  policyName: {{ last . }}
  validationActions: [Deny]
{{- end }}
