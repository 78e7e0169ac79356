{{- define "stack.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* The operator appends up to 37 characters to a name, and 63 is the limit. */ -}}
{{- define "stack.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $joined := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- default $joined .Values.fullnameOverride | trunc 26 | trimSuffix "-" }}
{{- end }}

{{- define "stack.namespace" -}}
{{ default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "stack.labels" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ replace "+" "_" .Chart.Version | quote }}
app.kubernetes.io/part-of: {{ include "stack.name" . }}
chart: {{ .Chart.Name }}-{{ replace "+" "_" .Chart.Version }}
release: {{ .Release.Name | quote }}
heritage: {{ .Release.Service | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* An exporter is a chart of its own in the real chart: (dict "root" $ "name" its name "values" its values). */ -}}
{{- define "exporter.fullname" -}}
{{- $name := default .name .values.nameOverride }}
{{- $release := .root.Release.Name }}
{{- $joined := contains $name $release | ternary $release (printf "%s-%s" $release $name) }}
{{- default $joined .values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "exporter.version" -}}
{{ index .root.Chart.Annotations (printf "prometheus-fleet/%s" .name) }}
{{- end }}

{{- define "exporter.selector" -}}
app.kubernetes.io/name: {{ default .name .values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "exporter.labels" -}}
helm.sh/chart: {{ .root.Chart.Name }}-{{ replace "+" "_" .root.Chart.Version }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/component: metrics
app.kubernetes.io/part-of: {{ default .name .values.nameOverride }}
{{ include "exporter.selector" . }}
app.kubernetes.io/version: {{ include "exporter.version" . | quote }}
{{- with .values.commonLabels | default .values.customLabels }}
{{ tpl (toYaml .) $.root }}
{{- end }}
{{- if .values.releaseLabel }}
release: {{ .root.Release.Name }}
{{- end }}
{{- end }}
