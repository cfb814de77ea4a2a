{{/* Ports, probes and hooks of each role's container. */}}

{{- define "carecase.intakeContainer" -}}
ports:
  - name: http
    containerPort: {{ .settings.intake.port }}
startupProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /{{ .values.readiness }}, port: http}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
lifecycle:
  preStop:
    sleep: {seconds: {{ .values.preStopSleepSeconds }}}
{{- end }}

{{- define "carecase.workerContainer" -}}
ports:
  - name: http
    containerPort: {{ .settings.worker.port }}
startupProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 2
  timeoutSeconds: 2
  # a pool process may take a minute to start on a busy node
  failureThreshold: 90
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}

{{- define "carecase.flowerProbe" -}}
# its health check tells nothing to other machines, the node among them
exec:
  command:
    - python
    - -c
    - "import urllib.request as r; r.urlopen('http://127.0.0.1:{{ .port }}/{{ .prefix }}/healthcheck', timeout=2)"
timeoutSeconds: 5
{{- end }}

{{- define "carecase.flowerContainer" -}}
ports:
  - name: http
    containerPort: {{ .port }}
startupProbe:
  {{- include "carecase.flowerProbe" . | nindent 2 }}
  periodSeconds: 3
  failureThreshold: 40
readinessProbe:
  {{- include "carecase.flowerProbe" . | nindent 2 }}
  periodSeconds: 20
  failureThreshold: 3
livenessProbe:
  {{- include "carecase.flowerProbe" . | nindent 2 }}
  periodSeconds: 30
  failureThreshold: 5
{{- if .preStopSleepSeconds }}
lifecycle:
  preStop:
    sleep: {seconds: {{ .preStopSleepSeconds }}}
{{- end }}
{{- end }}
