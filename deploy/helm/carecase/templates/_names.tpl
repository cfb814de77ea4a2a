{{/* Names and labels. Names end early enough for what is put behind them: 63 characters in all. */}}

{{- define "carecase.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 30 | trimSuffix "-" }}
{{- end }}

{{- define "carecase.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 34 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 34 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 34 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "carecase.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "carecase.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The hook runs before the release's own account is there. */}}
{{- define "carecase.migrationServiceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- printf "%s-migration" (include "carecase.fullname" .) }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* carecase.selectorLabels (dict "root" $ "component" "worker" "group" "north"): they never change during a release's life. */}}
{{- define "carecase.selectorLabels" -}}
app.kubernetes.io/name: {{ include "carecase.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- with .group }}
worker-group: {{ . | quote }}
{{- end }}
{{- end }}

{{/* carecase.version ROOT: the image's tag as a label's value, which is shorter, and begins and ends with a letter or digit. */}}
{{- define "carecase.version" -}}
{{- .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimAll "._-" }}
{{- end }}

{{/* carecase.labels (dict "root" $ "component" "worker" "more" MAP): each label once. What an operator selects by (`more`) wins, then what
     the chart's selectors need, then commonLabels. */}}
{{- define "carecase.labels" -}}
{{- $own := dict
  "app.kubernetes.io/version" (include "carecase.version" .root)
  "app.kubernetes.io/part-of" "carecase"
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") }}
{{- toYaml (merge (dict) (default (dict) .more) (include "carecase.selectorLabels" . | fromYaml) .root.Values.commonLabels $own) }}
{{- end }}

{{/* carecase.podLabels (dict "root" $ "component" "worker" "values" VALUES): each label once. What selectors need wins, then podLabels, then
     commonLabels; a label that tells the chart's version would replace a pod for no reason. */}}
{{- define "carecase.podLabels" -}}
{{- $own := dict "app.kubernetes.io/version" (include "carecase.version" .root) "app.kubernetes.io/part-of" "carecase" }}
{{- toYaml (merge (include "carecase.selectorLabels" . | fromYaml) .values.podLabels .root.Values.commonLabels $own) }}
{{- end }}

{{/* carecase.metadata (dict "root" $ "component" "intake" "name" "x" "annotations" (dict)): an object's metadata. */}}
{{- define "carecase.metadata" -}}
name: {{ .name | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "carecase.labels" (merge (dict "more" .labels) .) | nindent 2 }}
{{- $annotations := merge (dict) (default (dict) .annotations) .root.Values.commonAnnotations }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What runs before an installation or upgrade, and goes once that has succeeded; of one that failed, all stays to be read. */}}
{{- define "carecase.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
