{{/* A pod of any role. */}}

{{- define "carecase.image" -}}
{{- $image := .Values.image }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{/* Seconds that a worker is given after SIGTERM: the deadline of its attempts, the 3 s after which one is killed, and time to say so. */}}
{{- define "carecase.workerGrace" -}}
{{- add (ceil (default 10 .chunk_deadline_seconds) | int) 20 }}
{{- end }}

{{- define "carecase.topologySpread" -}}
{{- range (list "topology.kubernetes.io/zone" "kubernetes.io/hostname") }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "carecase.selectorLabels" $ | nindent 6 }}
  {{- if not $.keepsItsPods }}
  matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end }}

{{/* carecase.pod (dict "root" $ "role" "worker" "component" "worker" "group" "north" "values" VALUES "config" NAME "settings" SETTINGS
     "secrets" SECRETS "args" LIST "container" YAML "grace" 30 "serviceAccountName" NAME "volumes" LIST "mounts" LIST "pod" YAML):
     template of a pod. */}}
{{- define "carecase.pod" -}}
metadata:
  labels:
    {{- include "carecase.podLabels" . | nindent 4 }}
  annotations:
    checksum/config: {{ include "carecase.toml" .settings | sha256sum }}
    {{- with merge (dict) .values.podAnnotations .root.Values.commonAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ .serviceAccountName }}
  automountServiceAccountToken: false
  # the variables that they make of a Service, as CARECASE_INTAKE_PORT, would be settings
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .grace }}
  securityContext:
    {{- toYaml .root.Values.podSecurityContext | nindent 4 }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .pod }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
    - name: {{ .role }}
      image: {{ include "carecase.image" .root | quote }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      args: {{ toJson .args }}
      env:
        - name: CARECASE_CONFIG
          value: /etc/carecase/config/carecase.toml
        {{- range .secrets }}
        - name: {{ .variable }}
          value: /etc/carecase/secrets/{{ .file }}
        {{- end }}
        {{- with .values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .container }}
      {{- . | nindent 6 }}
      {{- end }}
      resources:
        {{- toYaml .values.resources | nindent 8 }}
      securityContext:
        {{- toYaml .root.Values.securityContext | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/carecase/config
          readOnly: true
        {{- if .secrets }}
        - name: secrets
          mountPath: /etc/carecase/secrets
          readOnly: true
        {{- end }}
        - name: tmp
          mountPath: /tmp
        {{- with concat (default (list) .mounts) .values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ .config }}
    {{- if .secrets }}
    # the secrets of the role, and no other
    - name: secrets
      projected:
        defaultMode: 0440
        sources:
          {{- range .secrets }}
          - secret:
              name: {{ .secret }}
              items:
                - key: {{ .key }}
                  path: {{ .file }}
          {{- end }}
    {{- end }}
    - name: tmp
      emptyDir:
        sizeLimit: 256Mi
    {{- with concat (default (list) .volumes) .values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
