{{/* Rules that network policies are made of, and routes. */}}

{{- define "carillon.monitoringRule" -}}
{{- with .Values.networkPolicy.monitoring }}
- ports: [{port: admin}]
  from:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "carillon.nameServiceRule" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end }}

{{/* {ports, to}: as the values have it. */}}
{{- define "carillon.egressRule" -}}
- ports:
    {{- range .ports }}
    - {port: {{ int64 . }}}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* To a server of ours in development, else to where the values say: {root, component, peer}. */}}
{{- define "carillon.serverRule" -}}
{{- if .root.Values.development.enabled }}
{{- $selector := dict "podSelector" (dict "matchLabels" (include "carillon.selector" . | fromYaml)) }}
{{- include "carillon.egressRule" (dict "ports" .peer.ports "to" (list $selector)) }}
{{- else }}
{{- include "carillon.egressRule" .peer }}
{{- end }}
{{- end }}

{{/* What tells ingress-nginx to keep a client at one pod, unless the values say it for
     another controller. */}}
{{- define "carillon.stickyAnnotations" -}}
{{- with .Values.stickyPolling }}
{{- if or .ingressAnnotations .serviceAnnotations }}
{{- toYaml .ingressAnnotations }}
{{- else -}}
nginx.ingress.kubernetes.io/affinity: cookie
nginx.ingress.kubernetes.io/affinity-mode: persistent
nginx.ingress.kubernetes.io/session-cookie-name: {{ .cookieName }}
nginx.ingress.kubernetes.io/session-cookie-path: /socket.io/
# The gateway is gone: another one tells the client to begin anew.
nginx.ingress.kubernetes.io/session-cookie-change-on-failure: "true"
{{- end }}
{{- end }}
{{- end }}
