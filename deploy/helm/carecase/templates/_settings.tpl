{{/* The file carecase.toml of each role, and the secrets beside it. */}}

{{/* carecase.tomlValue VALUE: a value as TOML. The JSON of anything but a map is TOML, and no number gets an exponent. */}}
{{- define "carecase.tomlValue" -}}
{{- if kindIs "map" . }}
{{- $pairs := list }}
{{- range $name, $value := . }}
{{- $pairs = append $pairs (printf "%s = %s" (toRawJson $name) (include "carecase.tomlValue" $value)) }}
{{- end }}
{{- printf "{%s}" (join ", " $pairs) }}
{{- else }}
{{- toRawJson . }}
{{- end }}
{{- end }}

{{/* carecase.toml SETTINGS: sections of settings as TOML. */}}
{{- define "carecase.toml" -}}
{{- range $section, $held := . }}
{{- if has $section (list "databases" "clients" "webhooks") }}
{{- range $name, $values := $held }}
[{{ $section }}.{{ $name }}]
{{- range $leaf, $value := $values }}
{{ $leaf }} = {{ include "carecase.tomlValue" $value }}
{{- end }}
{{ end }}
{{- else if $held }}
[{{ $section }}]
{{- range $leaf, $value := $held }}
{{ $leaf }} = {{ include "carecase.tomlValue" $value }}
{{- end }}
{{ end }}
{{- end }}
{{- end }}

{{/* carecase.groups: each group of workers with what it does not say itself taken from `worker`, as JSON. */}}
{{- define "carecase.groups" -}}
{{- $groups := dict }}
{{- range $name, $own := .Values.workerGroups }}
{{- $_ := set $groups $name (mustMergeOverwrite (deepCopy $.Values.worker) (deepCopy (default (dict) $own))) }}
{{- end }}
{{- toJson $groups }}
{{- end }}

{{/* carecase.databasesOf (dict "root" $ "names" LIST "role" "worker"): some databases, all of them without names, as JSON. Their timeouts
     are the workers' alone, and fit the deadline of the group that serves them. */}}
{{- define "carecase.databasesOf" -}}
{{- $chosen := dict }}
{{- range $name, $database := .root.Values.databases }}
{{- if or (not $.names) (has $name $.names) }}
{{- $settings := dict "url" $database.url }}
{{- if eq $.role "worker" }}
{{- $settings = omit $database "password" "owner" }}
{{- else if and (eq $.role "migration") $database.owner }}
{{- $settings = dict "url" $database.owner.url }}
{{- end }}
{{- $_ := set $chosen $name $settings }}
{{- end }}
{{- end }}
{{- toJson $chosen }}
{{- end }}

{{/* carecase.settingsOf (dict "root" $ "role" "worker" "overrides" (dict) "databases" LIST): a role's sections, as JSON. */}}
{{- define "carecase.settingsOf" -}}
{{- $others := dict
  "intake" (list "flower")
  "worker" (list "intake" "jwt" "oidc" "audit" "flower")
  "flower" (list "intake" "jwt" "oidc" "audit" "encryption" "delivery" "tracing")
  "migration" (list "intake" "redis" "broker" "jwt" "oidc" "audit" "encryption" "flower" "delivery" "tracing") }}
{{- $settings := mustMergeOverwrite (deepCopy .root.Values.settings) (deepCopy (default (dict) .overrides)) }}
{{- $prefix := dig "intake" "root_path" "" $settings }}
{{- range index $others .role }}
{{- $settings = omit $settings . }}
{{- end }}
{{- if and $prefix (eq .role "worker") }}
{{- $_ := set $settings "intake" (dict "root_path" $prefix) }} {{- /* the links in its webhooks begin with it */}}
{{- end }}
{{- $databases := include "carecase.databasesOf" (dict "root" .root "names" .databases "role" .role) | fromJson }}
{{- $_ := set $settings "databases" $databases }}
{{- if has .role (list "intake" "worker") }}
{{- $webhooks := dict }}
{{- range $name, $webhook := .root.Values.webhooks }}
{{- $_ := set $webhooks $name (omit $webhook "secrets") }}
{{- end }}
{{- $_ := set $settings "webhooks" $webhooks }}
{{- end }}
{{- if eq .role "intake" }}
{{- $_ := set $settings "clients" .root.Values.clients }}
{{- if .root.Values.intake.audit.enabled }}
{{- $_ := set $settings "audit" (merge (dict "directory" "/var/lib/carecase/audit") (default (dict) $settings.audit)) }}
{{- end }}
{{- end }}
{{- toJson $settings }}
{{- end }}

{{/* carecase.secretsOf (dict "root" $ "role" "worker" "databases" LIST): a role's secrets, as a JSON list of
     {file, variable, secret, key}: file of the pod, setting that names it, Secret and key that hold it. */}}
{{- define "carecase.secretsOf" -}}
{{- $root := .root }}
{{- $role := .role }}
{{- $sections := dict
  "intake" (list "redis" "broker" "encryption" "jwt" "audit" "tracing")
  "worker" (list "redis" "broker" "encryption" "tracing")
  "flower" (list "flower")
  "migration" (list) }}
{{- $target := ternary (printf "%s-migration" (include "carecase.fullname" $root)) (include "carecase.fullname" $root) (eq $role "migration") }}
{{- $found := list }}
{{- range $name, $source := $root.Values.secrets }}
{{- if and $source (has (splitList "_" $name | first) (index $sections $role)) }}
{{- $found = append $found (dict
  "file" $name
  "variable" (printf "CARECASE_%s_FILE" (upper $name))
  "secret" (default $target $source.existingSecret)
  "key" (ternary (default $name $source.key) $name (not (empty $source.existingSecret)))
  "remoteRef" $source.remoteRef) }}
{{- end }}
{{- end }}
{{- $named := dict }}
{{- if has $role (list "worker" "migration") }}
{{- range $name, $database := $root.Values.databases }}
{{- if or (not $.databases) (has $name $.databases) }}
{{- $source := $database.password }}
{{- if and (eq $role "migration") $database.owner }}
{{- $source = $database.owner.password }}
{{- end }}
{{- $_ := set $named (printf "databases_%s_password" $name) (dict "source" $source "key" "password") }}
{{- end }}
{{- end }}
{{- end }}
{{- if eq $role "worker" }}
{{- range $name, $webhook := $root.Values.webhooks }}
{{- $_ := set $named (printf "webhooks_%s_secrets" $name) (dict "source" $webhook.secrets "key" "secrets") }}
{{- end }}
{{- end }}
{{- range $name, $secret := $named }}
{{- $source := $secret.source }}
{{- if $source }}
{{- $file := lower $name | replace "-" "_" }}
{{- $found = append $found (dict
  "file" $file
  "variable" (printf "CARECASE_%s_FILE" (upper $file))
  "secret" (default $target $source.existingSecret)
  "key" (ternary (default $secret.key $source.key) $file (not (empty $source.existingSecret)))
  "remoteRef" $source.remoteRef) }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/* carecase.externalData SECRETS: the data of an ExternalSecret, each key once; empty if none is fetched. */}}
{{- define "carecase.externalData" -}}
{{- $seen := dict }}
{{- range . }}
{{- if and .remoteRef (not (hasKey $seen .key)) }}
{{- $_ := set $seen .key true }}
- secretKey: {{ .key }}
  remoteRef:
    {{- toYaml .remoteRef | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}
