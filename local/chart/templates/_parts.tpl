{{- /* (list map key...): those of the keys that hold something, as YAML. */ -}}
{{- define "given" -}}
{{- $map := first . }}
{{- range $key := rest . }}
{{- with get $map $key }}
{{ $key }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* (list root image default-tag): the reference that the kubelet pulls. */ -}}
{{- define "image" -}}
{{- $image := index . 1 }}
{{- default $image.registry (index . 0).Values.global.imageRegistry }}/{{ $image.repository }}
{{- with $image.tag | default (index . 2) }}:{{ . }}{{ end }}
{{- with $image.sha }}@sha256:{{ . }}{{ end }}
{{- with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
{{- $names := list }}
{{- range . }}{{ $names = append $names (kindIs "string" . | ternary (dict "name" .) .) }}{{ end }}
imagePullSecrets: {{ toJson $names }}
{{- end }}
{{- end }}

{{- /* (dict "root" "name" "namespace" "labels" "serviceAccount" "account" "rules"): who a workload is, and what it may do. */ -}}
{{- define "identity" -}}
apiVersion: v1
kind: ServiceAccount
metadata: {{ dict "name" .account "namespace" .namespace "labels" (merge (default dict .accountLabels) .labels) "annotations" .serviceAccount.annotations | toJson }}
automountServiceAccountToken: {{ .serviceAccount.automountServiceAccountToken }}
{{- include "pullSecrets" .root }}
{{- with .rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: {{ $.name }}, labels: {{ toJson $.labels }}}
rules: {{- . | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: {{ $.name }}, labels: {{ toJson $.labels }}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $.name }}}
subjects: [{kind: ServiceAccount, name: {{ $.account }}, namespace: {{ $.namespace }}}]
{{- end }}
{{- end }}

{{- /* (dict "name" "namespace" "labels" "monitor" "selector" "in" "endpoints"): endpoints lack what they share. */ -}}
{{- define "serviceMonitor" -}}
{{- $shared := include "given" (list .monitor "scheme" "interval" "scrapeTimeout" "proxyUrl" "relabelings" "metricRelabelings") | fromYaml }}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {{ dict "name" .name "namespace" .namespace "labels" (merge dict .monitor.additionalLabels .labels) | toJson }}
spec:
  {{- include "given" (list .monitor "jobLabel" "attachMetadata" "targetLabels" "podTargetLabels") | nindent 2 }}
  {{- include "given" (list .monitor "sampleLimit" "targetLimit" "labelLimit" "labelNameLengthLimit" "labelValueLengthLimit") | nindent 2 }}
  selector: {{ toJson .selector }}
  {{- with .in }}
  namespaceSelector: {matchNames: [{{ . }}]}
  {{- end }}
  endpoints:
    {{- range .endpoints }}
    - {{ merge dict . $shared | toJson }}
    {{- end }}
{{- end }}

{{- /* (list values term): the affinity of the values and, as their podAntiAffinity says, the term that keeps replicas apart. */ -}}
{{- define "affinity" -}}
{{- $given := first . }}
{{- $apart := last . }}
{{- $affinity := deepCopy $given.affinity }}
{{- if eq $given.podAntiAffinity "hard" }}
{{- $_ := set $affinity "podAntiAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $apart)) }}
{{- else if eq $given.podAntiAffinity "soft" }}
{{- $_ := set $affinity "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" (list (dict "weight" 100 "podAffinityTerm" $apart))) }}
{{- end }}
{{- toYaml $affinity }}
{{- end }}
