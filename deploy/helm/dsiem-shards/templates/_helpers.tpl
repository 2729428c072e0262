{{/* Prefix of all names. */}}
{{- define "dsiem-shards.prefix" -}}
{{ .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* Labels that select the pods of a part: (list . "backend"). */}}
{{- define "dsiem-shards.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: dsiem-{{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- end }}

{{/* Labels of an object of a part: (list . "backend"). */}}
{{- define "dsiem-shards.labels" -}}
{{- $root := index . 0 -}}
{{ include "dsiem-shards.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Metadata of an object of a part: (list . "backend" "name after the prefix"). */}}
{{- define "dsiem-shards.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "dsiem-shards.prefix" $root }}-{{ index . 2 }}
labels:
  {{- include "dsiem-shards.labels" . | nindent 2 }}
{{- end }}

{{/* The port of a URL, or else that of its scheme, or else the default: (list "https://host:8443/path" 4222). */}}
{{- define "dsiem-shards.port" -}}
{{- $url := urlParse (index . 0) -}}
{{- $ports := dict "http" 80 "https" 443 "ws" 80 "wss" 443 -}}
{{ regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (get $ports $url.scheme | default (index . 1)) }}
{{- end }}

{{- define "dsiem-shards.natsUrl" -}}
{{ .Values.nats.url | default (printf "nats://%s-nats:4222" (include "dsiem-shards.prefix" .)) }}
{{- end }}

{{/* Empty if the server is another one and its port is not given. */}}
{{- define "dsiem-shards.natsMonitor" -}}
{{- if .Values.nats.monitor }}{{ .Values.nats.monitor }}
{{- else if .Values.nats.enabled }}http://{{ include "dsiem-shards.prefix" . }}-nats:8222{{ end }}
{{- end }}

{{- define "dsiem-shards.configMap" -}}
{{ .Values.standalone.existingConfigMap | default (printf "%s-configs" (include "dsiem-shards.prefix" .)) }}
{{- end }}

{{- define "dsiem-shards.filebeat" -}}
{{ .Values.filebeat.config | default (.Files.Get "files/filebeat.yml") }}
{{- end }}

{{/* The volume claim of a part: (list . "backend" "10Gi"). */}}
{{- define "dsiem-shards.claim" -}}
{{- $root := index . 0 -}}
metadata:
  name: data
  labels:
    {{- include "dsiem-shards.selector" . | nindent 4 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with $root.Values.persistence.storageClass }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests: {storage: {{ index . 2 }}}
{{- end }}

{{- define "dsiem-shards.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "dsiem-shards.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Refuse values that fit the schema and not each other. */}}
{{- define "dsiem-shards.check" -}}
{{- $standalone := eq .Values.mode "standalone" -}}
{{- if and $standalone (ne (int .Values.replicas) 1) }}
{{- fail "replicas: a standalone backend is one pod" }}
{{- end }}
{{- if and $standalone (not .Values.standalone.configs) (not .Values.standalone.existingConfigMap) }}
{{- fail "standalone.configs or standalone.existingConfigMap: a standalone backend needs its configuration files" }}
{{- end }}
{{- if and (not .Values.token.existingSecret) (or $standalone .Values.ingress.enabled) }}
{{- fail "token.existingSecret: a standalone backend and an Ingress need a Secret with the token" }}
{{- end }}
{{- if and (not $standalone) (eq .Values.nats.enabled (ne .Values.nats.url "")) }}
{{- fail "nats.enabled, nats.url: a cluster backend needs either the NATS server of the chart or the URL of another one" }}
{{- end }}
{{- if and .Values.ingress.enabled (ne (len .Values.ingress.hosts) (int .Values.replicas)) }}
{{- fail (printf "ingress.hosts: %d host names for %v pods; each needs its own, since each shows its own directives" (len .Values.ingress.hosts) .Values.replicas) }}
{{- end }}
{{- end }}
