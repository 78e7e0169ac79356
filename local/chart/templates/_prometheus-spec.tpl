{{- /*
The spec of the Prometheus or PrometheusAgent: `prometheusSpec` as it stands, but for
the values that the chart itself reads, those that only a server has, and those that may hold templates.
*/ -}}
{{- define "prometheus.spec" -}}
{{- $prometheus := .Values.prometheus }}
{{- $given := $prometheus.prometheusSpec }}
{{- $fullname := printf "%s-prometheus" (include "stack.fullname" .) }}

{{- $chartOnly := list "additionalAlertManagerConfigsSecret" "additionalConfig" "additionalRemoteRead" "additionalRemoteWrite" "additionalScrapeConfigs"
  "additionalScrapeConfigsSecret" "affinity" "alertingEndpoints" "disableAlerting" "image" "podAntiAffinity"
  "podAntiAffinityTopologyKey" "prometheusExternalLabelNameClear" "replicaExternalLabelNameClear" "storageSpec" "thanos" "version" }}
{{- $serverOnly := list "allowOverlappingBlocks" "disableCompaction" "enableAdminAPI" "evaluationInterval" "exemplars"
  "query" "queryLogFile" "remoteRead" "retention" "retentionSize" "ruleNamespaceSelector" "ruleSelector" "thanos" }}
{{- $templated := list "additionalConfig" "configMaps" "containers" "enableFeatures" "externalLabels" "externalUrl"
  "initContainers" "podMetadata" "podTargetLabels" "remoteRead" "remoteWrite" "scrapeClasses" "secrets" "serviceName"
  "storageSpec" }}
{{- $evenFalse := list "automountServiceAccountToken" "enableAdminAPI" "enableOTLPReceiver" "enableServiceLinks"
  "hostNetwork" "hostUsers" "listenLocal" "logFormat" "logLevel" "paused" "replicas" "retention" "shards" "walCompression" }}

{{- $values := dict }}
{{- range $key, $value := $given }}
{{- if not (and $prometheus.agentMode (has $key $serverOnly)) }}
{{- if and $value (or (has $key $templated) (hasSuffix "Selector" $key)) }}
{{- $value = tpl (toYaml (dict "value" $value)) $ | fromYaml | dig "value" nil | required (printf "prometheusSpec.%s: no YAML once its templates are filled in" $key) }}
{{- end }}
{{- if or $value (and (has $key $evenFalse) (not (kindIs "invalid" $value))) }}
{{- $_ := set $values $key $value }}
{{- end }}
{{- end }}
{{- end }}

{{- $spec := dict "serviceAccountName" (default $fullname $prometheus.serviceAccount.name) }}
{{- range $key, $value := $values }}
{{- if not (or (has $key $chartOnly) (hasSuffix "NilUsesHelmValues" $key)) }}
{{- $_ := set $spec $key $value }}
{{- end }}
{{- end }}

{{- range $kind := $prometheus.agentMode | ternary (list) (list "rule") | concat (list "serviceMonitor" "podMonitor" "probe" "scrapeConfig") }}
{{- $own := get $given (printf "%sSelectorNilUsesHelmValues" $kind) | ternary (dict "matchLabels" (dict "release" $.Release.Name)) dict }}
{{- range $key, $default := dict (printf "%sSelector" $kind) $own (printf "%sNamespaceSelector" $kind) dict }}
{{- if not (hasKey $spec $key) }}{{ $_ := set $spec $key $default }}{{ end }}
{{- end }}
{{- end }}

{{- with $values.image }}
{{- $_ := set $spec "image" (include "image" (list $ . "")) }}
{{- $_ := set $spec "imagePullPolicy" .pullPolicy }}
{{- $_ := set $spec "version" (default .tag $values.version) }}
{{- end }}
{{- if not $spec.externalUrl }}
{{- $_ := set $spec "externalUrl" (printf "http://%s.%s:%v" $fullname (include "stack.namespace" .) $prometheus.service.port) }}
{{- end }}
{{- range list "prometheusExternalLabelName" "replicaExternalLabelName" }}
{{- if get $given (printf "%sClear" .) }}{{ $_ := set $spec . "" }}{{ end }}
{{- end }}
{{- with $values.storageSpec }}{{ $_ := set $spec "storage" . }}{{ end }}
{{- with (include "pullSecrets" . | fromYaml).imagePullSecrets }}{{ $_ := set $spec "imagePullSecrets" . }}{{ end }}

{{- with $values.thanos }}
{{- $objects := default dict .objectStorageConfig }}
{{- /* Of these the real chart makes Secrets of its own. */ -}}
{{- range $path, $given := dict "secretProviderClass" .secretProviderClass "objectStorageConfig.secret" $objects.secret }}
{{- if $given }}{{ fail (printf "the small chart has no prometheus.prometheusSpec.thanos.%s: switch that off, or set CHART to the real one" $path) }}{{ end }}
{{- end }}
{{- $sidecar := omit . "objectStorageConfig" }}
{{- with $objects.existingSecret }}{{ $_ := set $sidecar "objectStorageConfig" (pick . "key" "name") }}{{ end }}
{{- $_ := set $spec "thanos" $sidecar }}
{{- end }}

{{- range $kind := list "Read" "Write" }}
{{- $key := printf "remote%s" $kind }}
{{- with concat (default list (get $values $key)) (default list (get $values (printf "additionalRemote%s" $kind))) }}
{{- if not (and $prometheus.agentMode (eq $kind "Read")) }}{{ $_ := set $spec $key . }}{{ end }}
{{- end }}
{{- end }}

{{- if $values.additionalScrapeConfigs }}
{{- $_ := set $spec "additionalScrapeConfigs" (dict "name" (printf "%s-scrape-confg" $fullname) "key" "additional-scrape-configs.yaml") }}
{{- end }}
{{- with $values.additionalScrapeConfigsSecret }}
{{- if .enabled }}{{ $_ := set $spec "additionalScrapeConfigs" (dict "name" (tpl .name $) "key" .key) }}{{ end }}
{{- end }}

{{- if not $prometheus.agentMode }}
{{- with $values.additionalAlertManagerConfigsSecret }}
{{- $_ := set $spec "additionalAlertManagerConfigs" (dict "name" (tpl .name $) "key" .key) }}
{{- end }}
{{- end }}
{{- if not (or $prometheus.agentMode $values.disableAlerting) }}
{{- $own := include "alertmanager.endpoint" . | fromYaml }}
{{- with $values.alertingEndpoints | default (.Values.alertmanager.enabled | ternary (list $own) list) }}
{{- $_ := set $spec "alerting" (dict "alertmanagers" .) }}
{{- end }}
{{- end }}

{{- $apart := dict "topologyKey" $given.podAntiAffinityTopologyKey "labelSelector" (dict "matchExpressions" (list
  (dict "key" "app.kubernetes.io/name" "operator" "In" "values" (list ($prometheus.agentMode | ternary "prometheus-agent" "prometheus")))
  (dict "key" "app.kubernetes.io/instance" "operator" "In" "values" (list $fullname)))) }}
{{- with include "affinity" (list $given $apart) | fromYaml }}{{ $_ := set $spec "affinity" . }}{{ end }}

{{- range $key, $value := $values.additionalConfig }}
{{- if hasKey $spec $key }}{{ fail (printf "prometheusSpec.additionalConfig.%s: the real chart would write %s twice; set prometheusSpec.%s to null" $key $key $key) }}{{ end }}
{{- $_ := set $spec $key $value }}
{{- end }}
{{- toYaml $spec }}
{{- end }}
