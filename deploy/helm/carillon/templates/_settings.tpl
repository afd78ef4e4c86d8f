{{/* From values to the program's settings, and what is wrong with the values. */}}

{{/* Settings by name, as variables. Large numbers must not become 1e+06. */}}
{{- define "carillon.settings" -}}
{{- range $name, $value := . }}
{{- if kindIs "float64" $value }}{{ $value = int64 $value }}{{ end }}
{{- if kindIs "slice" $value }}{{ $value = join "," $value }}{{ end }}
{{- if not (kindIs "invalid" $value) }}
{{ printf "CARILLON_%s" (upper $name) }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Of every server: {root, drain}. */}}
{{- define "carillon.processSettings" -}}
CARILLON_ADMIN_LISTEN: {{ printf "%s:9090" .root.Values.bindAddress | quote }}
CARILLON_LOG_FORMAT: {{ .root.Values.log.format | quote }}
CARILLON_LOG_LEVEL: {{ .root.Values.log.level | quote }}
CARILLON_DRAIN_DELAY: {{ printf "%ds" (int64 .drain.delaySeconds) | quote }}
CARILLON_STOP_TIMEOUT: {{ printf "%ds" (int64 .drain.stopTimeoutSeconds) | quote }}
{{- with .root.Values.tracing.endpoint }}
CARILLON_OTLP_ENDPOINT: {{ . | quote }}
{{- end }}
{{- end }}

{{/* Of whoever has clients: {root, drain}. */}}
{{- define "carillon.edgeSettings" -}}
{{ include "carillon.processSettings" . }}
CARILLON_LISTEN: {{ printf "%s:8080" .root.Values.bindAddress | quote }}
CARILLON_DRAIN_SPREAD: {{ printf "%ds" (int64 .drain.spreadSeconds) | quote }}
CARILLON_TRACE_SAMPLE: {{ .root.Values.tracing.sample | toString | quote }}
{{- with .root.Values.auth }}
{{- if .jwksUrl }}
CARILLON_JWKS_URL: {{ .jwksUrl | quote }}
{{- end }}
{{- if .publicKey }}
CARILLON_JWT_PUBLIC_KEY_FILE: /etc/carillon/jwt/public.pem
{{- end }}
{{- if .issuer }}
CARILLON_JWT_ISSUER: {{ .issuer | quote }}
{{- end }}
{{- if .audience }}
CARILLON_JWT_AUDIENCE: {{ .audience | quote }}
{{- end }}
{{- end }}
{{- include "carillon.settings" .root.Values.gateway.settings }}
{{- end }}

{{/* All variables of a component that are no secrets: {root, component}. */}}
{{- define "carillon.variables" -}}
{{- $values := .root.Values }}
{{- if eq .component "gateway" -}}
{{ include "carillon.edgeSettings" (dict "root" .root "drain" $values.gateway.drain) }}
# This name has the addresses of all dispatchers.
CARILLON_DISPATCHER_URL: http://{{ include "carillon.fullname" .root }}-dispatcher:7070
{{- else if eq .component "dispatcher" -}}
{{ include "carillon.processSettings" (dict "root" .root "drain" $values.dispatcher.drain) }}
CARILLON_GRPC_LISTEN: {{ printf "%s:7070" $values.bindAddress | quote }}
CARILLON_DATABASE_POOL: {{ int64 $values.dispatcher.databasePool | quote }}
{{- include "carillon.settings" $values.dispatcher.settings }}
{{- else -}}
{{ include "carillon.edgeSettings" (dict "root" .root "drain" $values.standalone.drain) }}
CARILLON_DATA_DIR: /data
{{- /* One file, one writer. */}}
{{- include "carillon.settings" (omit $values.dispatcher.settings "lanes") }}
{{- end }}
{{- end }}

{{/* Changes with what the chart itself puts into a component's Secrets: {root, component}. */}}
{{- define "carillon.secretSum" -}}
{{- $values := .root.Values }}
{{- $auth := list $values.auth.jwtSecret $values.auth.publicKey }}
{{- $of := dict "standalone" $auth
    "gateway" (concat $auth (list $values.externalNats.url $values.externalRedis.url))
    "dispatcher" (list $values.externalDatabase.url $values.externalNats.url) }}
{{- index $of .component | toJson | sha256sum }}
{{- end }}

{{/* Which Secret holds an item that may be of yours, of the chart, or of development:
     {root, values, value, key}. */}}
{{- define "carillon.secretName" -}}
{{- if .values.existingSecret }}
{{- .values.existingSecret }}
{{- else if .value }}
{{- include "carillon.fullname" .root }}
{{- else }}
{{- printf "%s-development" (include "carillon.fullname" .root) }}
{{- end }}
{{- end }}

{{- define "carillon.secretKey" -}}
{{- if .values.existingSecret }}{{ .values.existingSecretKey }}{{ else }}{{ .key }}{{ end }}
{{- end }}

{{/* The variable of one item: {root, variable, values, value, key}. */}}
{{- define "carillon.secretEnv" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef:
      name: {{ include "carillon.secretName" . }}
      key: {{ include "carillon.secretKey" . }}
{{- end }}

{{- define "carillon.jwtSecretEnv" -}}
{{- $auth := .Values.auth }}
{{- $none := not (or $auth.jwksUrl $auth.publicKey) }}
{{- if or $auth.existingSecret $auth.jwtSecret (and .Values.development.enabled $none) }}
{{- include "carillon.secretEnv" (dict "root" . "variable" "CARILLON_JWT_SECRET" "values" $auth "value" $auth.jwtSecret "key" "jwt-secret") }}
{{- end }}
{{- end }}

{{- define "carillon.databaseEnv" -}}
{{- $of := .Values.externalDatabase }}
{{- include "carillon.secretEnv" (dict "root" . "variable" "CARILLON_DATABASE_URL" "values" $of "value" $of.url "key" "database-url") }}
{{- end }}

{{- define "carillon.natsEnv" -}}
{{- $of := .Values.externalNats }}
{{- include "carillon.secretEnv" (dict "root" . "variable" "CARILLON_NATS_URL" "values" $of "value" $of.url "key" "nats-url") }}
{{- end }}

{{- define "carillon.redisEnv" -}}
{{- $of := .Values.externalRedis }}
{{- include "carillon.secretEnv" (dict "root" . "variable" "CARILLON_REDIS_URL" "values" $of "value" $of.url "key" "redis-url") }}
{{- end }}

{{/* What a schema cannot say: everything that is wrong, at once. */}}
{{- define "carillon.check" -}}
{{- $wrong := list }}
{{- $values := .Values }}
{{- $auth := .Values.auth }}
{{- $keys := 0 }}
{{- range list $auth.jwtSecret $auth.existingSecret $auth.jwksUrl $auth.publicKey }}
{{- if . }}{{ $keys = add1 $keys }}{{ end }}
{{- end }}
{{- if gt (int $keys) 1 }}
{{- $wrong = append $wrong "auth: only one of jwtSecret, existingSecret, jwksUrl and publicKey can be what tokens are checked with" }}
{{- end }}
{{- if and (eq (int $keys) 0) (eq .Values.mode "cluster") (not .Values.development.enabled) }}
{{- $wrong = append $wrong "auth: one of jwtSecret, existingSecret, jwksUrl and publicKey is needed to check tokens with" }}
{{- end }}
{{- range list "externalDatabase" "externalNats" "externalRedis" }}
{{- $of := index $values . }}
{{- if and $of.url $of.existingSecret }}
{{- $wrong = append $wrong (printf "%s: only one of url and existingSecret" .) }}
{{- end }}
{{- $is := or $of.url $of.existingSecret }}
{{- if eq $values.mode "standalone" }}
{{- if $is }}{{ $wrong = append $wrong (printf "%s: standalone has its store, broker and presence built in" .) }}{{ end }}
{{- else if $values.development.enabled }}
{{- if $is }}{{ $wrong = append $wrong (printf "%s: development.enabled brings its own" .) }}{{ end }}
{{- else if not $is }}
{{- $wrong = append $wrong (printf "%s: url or existingSecret is needed (or development.enabled, to try things out)" .) }}
{{- end }}
{{- end }}
{{- if eq .Values.mode "standalone" }}
{{- if .Values.development.enabled }}
{{- $wrong = append $wrong "development.enabled: standalone needs no servers" }}
{{- end }}
{{- range list "gateway" "dispatcher" }}
{{- if ne (index $values .).autoscaling.kind "none" }}
{{- $wrong = append $wrong (printf "%s.autoscaling: standalone is one pod" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- range list "gateway" "standalone" }}
{{- $drain := (index $values .).drain }}
{{- if le (mul 4 $drain.stopTimeoutSeconds) (mul 5 $drain.spreadSeconds) }}
{{- $wrong = append $wrong (printf "%s.drain: stopTimeoutSeconds must be longer than spreadSeconds and a quarter" .) }}
{{- end }}
{{- end }}
{{- if ge (int (default 4 .Values.dispatcher.settings.lanes)) (int .Values.dispatcher.databasePool) }}
{{- $wrong = append $wrong "dispatcher: databasePool must be more than settings.lanes (4 unless set)" }}
{{- end }}
{{- range list "gateway" "dispatcher" }}
{{- $of := (index $values .).autoscaling }}
{{- if and (ne $of.kind "none") (gt (int $of.minReplicas) (int $of.maxReplicas)) }}
{{- $wrong = append $wrong (printf "%s.autoscaling: minReplicas must not be more than maxReplicas" .) }}
{{- end }}
{{- end }}
{{- with .Values.gateway.autoscaling }}
{{- if and (ne .kind "none") (not .connections) (not .cpuUtilization) }}
{{- $wrong = append $wrong "gateway.autoscaling: one of connections and cpuUtilization is needed" }}
{{- end }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
{{- $wrong = append $wrong "ingress: hosts is empty" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- $wrong = append $wrong "httpRoute: parentRefs is empty" }}
{{- end }}
{{- if .Values.stickyPolling.enabled }}
{{- if eq .Values.mode "standalone" }}
{{- $wrong = append $wrong "stickyPolling: standalone is one pod" }}
{{- else if not (or .Values.ingress.enabled .Values.httpRoute.enabled) }}
{{- $wrong = append $wrong "stickyPolling: nothing to make sticky: neither ingress nor httpRoute is enabled" }}
{{- end }}
{{- end }}
{{- if and .Values.loadTest.enabled (not (include "carillon.jwtSecretEnv" .)) }}
{{- $wrong = append $wrong "loadTest: makes tokens with the secret of auth.jwtSecret or auth.existingSecret" }}
{{- end }}
{{- if and .Values.loadTest.enabled (or $auth.issuer $auth.audience) }}
{{- $wrong = append $wrong "loadTest: its tokens have neither an issuer nor an audience, which auth asks for" }}
{{- end }}
{{- if $wrong }}
{{- fail (printf "\n\n  - %s\n" (join "\n  - " $wrong)) }}
{{- end }}
{{- end }}
