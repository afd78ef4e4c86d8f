{{/* What the pods of Carillon have in common. */}}

{{/* Of a pod's metadata: {root, component, values}. */}}
{{- define "carillon.podMetadata" -}}
annotations:
  # A pod reads its settings when it starts; those that it does not read do not restart it.
  checksum/config: {{ include "carillon.variables" . | sha256sum }}
  checksum/secret: {{ include "carillon.secretSum" . }}
  {{- with .values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
labels:
  {{- include "carillon.podLabels" . | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* Of a pod's spec: {root, component, values, drain}. */}}
{{- define "carillon.podSpec" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ include "carillon.serviceAccount" .root }}
automountServiceAccountToken: false
# Kubernetes would add variables for every service, with CARILLON_ in front of ours.
enableServiceLinks: false
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml $values.podSecurityContext | nindent 2 }}
# The delay, the stop itself, and what the processes need to end.
terminationGracePeriodSeconds: {{ add (int64 .drain.delaySeconds) (int64 .drain.stopTimeoutSeconds) 10 }}
{{- if and $values.topologySpread.enabled (ne .component "standalone") }}
topologySpreadConstraints:
  {{- $selector := include "carillon.selector" . }}
  {{- range $values.topologySpread.topologyKeys }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $values.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
    # Each version by itself: pods on their way out do not count.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Of a container: {root, component}. */}}
{{- define "carillon.container" -}}
image: {{ include "carillon.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml .root.Values.containerSecurityContext | nindent 2 }}
{{- end }}

{{- define "carillon.probes" -}}
livenessProbe:
  httpGet: {path: /livez, port: admin}
  {{- toYaml .Values.probes.liveness | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  {{- toYaml .Values.probes.readiness | nindent 2 }}
{{- end }}

{{/* The mounts of a container that checks tokens. */}}
{{- define "carillon.mounts" -}}
{{- if .Values.auth.publicKey }}
- name: jwt
  mountPath: /etc/carillon/jwt
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "carillon.volumes" -}}
{{- if .Values.auth.publicKey }}
- name: jwt
  configMap:
    name: {{ include "carillon.fullname" . }}-jwt
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* How scaling changes the number of gateways, also under KEDA. */}}
{{- define "carillon.behavior" -}}
scaleUp:
  stabilizationWindowSeconds: 30
  policies:
    - {type: Percent, value: 100, periodSeconds: 60}
scaleDown:
  # Clients that have to move come back all at once elsewhere.
  stabilizationWindowSeconds: 600
  policies:
    - {type: Pods, value: 1, periodSeconds: 300}
{{- end }}

{{/* How many pods, of a Deployment's spec: {root, component, values}. A scaler's number is
     not ours to set. But a number that is taken out counts as 1 until the scaler says
     otherwise, which would send everybody elsewhere: so it stays what it is. */}}
{{- define "carillon.replicas" -}}
{{- if eq .values.autoscaling.kind "none" -}}
replicas: {{ .values.replicas }}
{{- else }}
{{- $name := printf "%s-%s" (include "carillon.fullname" .root) .component }}
{{- with lookup "apps/v1" "Deployment" .root.Release.Namespace $name -}}
replicas: {{ .spec.replicas }}
{{- end }}
{{- end }}
{{- end }}
