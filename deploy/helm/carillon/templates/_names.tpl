{{/* Names and labels. */}}

{{- define "carillon.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Short enough for what is added to it: labels take 63 characters. */}}
{{- define "carillon.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What selects a component's pods: {root, component}. Never changes. */}}
{{- define "carillon.selector" -}}
app.kubernetes.io/name: {{ include "carillon.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/* The labels of a pod: {root, component}. Without the chart's version: a new one
     alone is no reason to send all clients elsewhere. */}}
{{- define "carillon.podLabels" -}}
{{ include "carillon.selector" . }}
{{- $tag := .root.Values.image.tag }}
{{- if eq .component "gateway" }}{{ $tag = default $tag .root.Values.gateway.image.tag }}{{ end }}
app.kubernetes.io/version: {{ $tag | default .root.Chart.AppVersion | trunc 63 | quote }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The labels of everything else; without a component, of what concerns all. */}}
{{- define "carillon.labels" -}}
{{ include "carillon.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Whoever has clients. */}}
{{- define "carillon.edge" -}}
{{- ternary "standalone" "gateway" (eq .Values.mode "standalone") }}
{{- end }}

{{- define "carillon.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "carillon.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The image of a component: {root, component}. */}}
{{- define "carillon.image" -}}
{{- $image := .root.Values.image }}
{{- $own := .root.Values.gateway.image }}
{{- if and (eq .component "gateway") (or $own.tag $own.digest) }}
{{- $image = merge (dict "repository" $image.repository) $own }}
{{- end }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default .root.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}
