{{/* Mistakes that no schema can tell: between values. Each says where, and what to do. */}}

{{- define "carecase.checks" -}}
{{- $mistakes := list }}
{{- $values := .Values }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" (include "carecase.fullname" .)) }}
{{- $mistakes = append $mistakes (printf "fullnameOverride: is missing, and of release and chart the objects would be called %s, which is no name for a Service; set it, as carecase" (include "carecase.fullname" .)) }}
{{- end }}
{{- range list "databases" "webhooks" }}
{{- $files := dict }}
{{- $section := . }}
{{- range $name := keys (get $values .) | sortAlpha }}
{{- $file := lower $name | replace "-" "_" }}
{{- with get $files $file }}
{{- $mistakes = append $mistakes (printf "%s.%s: would have the secrets of %s.%s, since the names of files and variables know no capitals and no hyphen; rename one" $section $name $section .) }}
{{- end }}
{{- $_ := set $files $file $name }}
{{- end }}
{{- end }}
{{- $parts := dict "intake" $values.intake "flower" $values.flower "migration" $values.migration }}
{{- range $group, $held := include "carecase.groups" . | fromJson }}
{{- $_ := set $parts (printf "workerGroups.%s" $group) $held }}
{{- end }}
{{- range $part, $held := $parts }}
{{- range $path, $taken := dict
  "extraEnv" (dict "of" "name" "are" (list "CARECASE_CONFIG"))
  "extraVolumes" (dict "of" "name" "are" (list "config" "secrets" "tmp" "audit"))
  "extraVolumeMounts" (dict "of" "mountPath" "are" (list "/etc/carecase/config" "/etc/carecase/secrets" "/tmp" "/var/lib/carecase/audit")) }}
{{- range get $held $path }}
{{- if has (get . $taken.of) $taken.are }}
{{- $mistakes = append $mistakes (printf "%s.%s: %s is the chart's own; take another one" $part $path (get . $taken.of)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if not $values.databases }}
{{- $mistakes = append $mistakes "databases: there are none; name one target database with its url" }}
{{- end }}
{{- range $path, $url := dict "settings.redis.url" $values.settings.redis.url "settings.broker.url" (dig "broker" "url" "" $values.settings) "settings.flower.broker_url" (dig "flower" "broker_url" "" $values.settings) }}
{{- if regexMatch "://[^/@]*:[^/@]+@" (default "" $url) }}
{{- $mistakes = append $mistakes (printf "%s: has a password in it, which everybody sees who may read the release; put it into secrets" $path) }}
{{- end }}
{{- end }}
{{- range $name, $database := $values.databases }}
{{- range $path, $url := dict "url" $database.url "owner.url" (dig "owner" "url" "" $database) }}
{{- if regexMatch "://[^/@]*:[^/@]+@" (default "" $url) }}
{{- $mistakes = append $mistakes (printf "databases.%s.%s: has a password in it, which everybody sees who may read the release; put it into the password beside it" $name $path) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $client := $values.clients }}
{{- range default (list) $client.databases }}
{{- if not (hasKey $values.databases .) }}
{{- $mistakes = append $mistakes (printf "clients.%s.databases: %s is no database; there are: %s" $name . (keys $values.databases | sortAlpha | join ", ")) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $webhook := $values.webhooks }}
{{- if and $values.clients (not (hasKey $values.clients $webhook.client)) }}
{{- $mistakes = append $mistakes (printf "webhooks.%s.client: %s is no client; there are: %s" $name $webhook.client (keys $values.clients | sortAlpha | join ", ")) }}
{{- end }}
{{- if not $webhook.secrets }}
{{- $mistakes = append $mistakes (printf "webhooks.%s.secrets: is missing, so its events would wait for ever; name the Secret with them" $name) }}
{{- end }}
{{- end }}
{{- if $values.networkPolicy.enabled }}
{{- $reached := dict }}
{{- range $name, $webhook := $values.webhooks }}
{{- $_ := set $reached (printf "webhooks.%s.url" $name) (dict "url" $webhook.url "peers" "webhooks") }}
{{- end }}
{{- $brokerPeers := ternary "broker" "redis" (not (empty (dig "broker" "url" "" $values.settings))) }}
{{- range $path, $one := dict
  "settings.redis.url" (dict "url" $values.settings.redis.url "peers" "redis")
  "settings.broker.url" (dict "url" (dig "broker" "url" "" $values.settings) "peers" "broker")
  "settings.flower.broker_url" (dict "url" (ternary (dig "flower" "broker_url" "" $values.settings) "" $values.flower.enabled) "peers" $brokerPeers)
  "settings.jwt.jwks_url" (dict "url" (dig "jwt" "jwks_url" "" $values.settings) "peers" "issuer")
  "settings.tracing.endpoint" (dict "url" (dig "tracing" "endpoint" "" $values.settings) "peers" "collector") }}
{{- $_ := set $reached $path $one }}
{{- end }}
{{- range $name, $database := $values.databases }}
{{- $_ := set $reached (printf "databases.%s.url" $name) (dict "url" $database.url "peers" "databases") }}
{{- $_ := set $reached (printf "databases.%s.owner.url" $name) (dict "url" (dig "owner" "url" "" $database) "peers" "databases") }}
{{- end }}
{{- $usual := dict "http" "80" "https" "443" "redis" "6379" "rediss" "6379" "amqp" "5672" "amqps" "5671" "postgresql" "5432" }}
{{- range $path, $one := $reached }}
{{- $open := list }}
{{- range (get $values.networkPolicy $one.peers).ports }}
{{- $open = append $open (toString (int .)) }}
{{- end }}
{{- $hosts := regexFind "://[^/?]*" (default "" $one.url) | trimPrefix "://" | splitList "@" | last }}
{{- $missing := list }}
{{- range compact (splitList "," $hosts) }}
{{- $port := regexFind ":[0-9]+$" . | trimPrefix ":" | default (get $usual (regexFind "^[a-z]+" $one.url)) }}
{{- if and $port (not (has $port $open)) }}
{{- $missing = append $missing $port }}
{{- end }}
{{- end }}
{{- range uniq $missing }}
{{- $mistakes = append $mistakes (printf "%s: leads to port %s, which networkPolicy.%s.ports does not let through (%s); add it there" $path . $one.peers (join ", " $open)) }}
{{- end }}
{{- end }}
{{- end }}
{{- $groups := include "carecase.groups" . | fromJson }}
{{- if not $groups }}
{{- $mistakes = append $mistakes "workerGroups: there are none, so nothing would be applied; name one, as default: {}" }}
{{- end }}
{{- range $database, $_ := $values.databases }}
{{- $served := false }}
{{- range $groups }}
{{- if or (not .databases) (has $database .databases) }}
{{- $served = true }}
{{- end }}
{{- end }}
{{- if and $groups (not $served) }}
{{- $mistakes = append $mistakes (printf "databases.%s: no group of workers serves it, so its batches would wait for ever; add it to workerGroups.NAME.databases" $database) }}
{{- end }}
{{- end }}
{{- range $name, $group := $groups }}
{{- range $group.databases }}
{{- if not (hasKey $values.databases .) }}
{{- $mistakes = append $mistakes (printf "workerGroups.%s.databases: %s is no database; there are: %s" $name . (keys $values.databases | sortAlpha | join ", ")) }}
{{- end }}
{{- end }}
{{- if eq (int (dig "worker" "port" $values.settings.worker.port $group.settings)) 0 }}
{{- $mistakes = append $mistakes (printf "workerGroups.%s: its settings.worker.port is 0, and a worker without a port cannot be probed; set one" $name) }}
{{- end }}
{{- $autoscaling := $group.autoscaling }}
{{- if and $autoscaling.hpa.enabled $autoscaling.keda.enabled }}
{{- $mistakes = append $mistakes (printf "workerGroups.%s.autoscaling: hpa and keda are both enabled, and would undo each other's work, since keda makes a HorizontalPodAutoscaler of its own; disable one" $name) }}
{{- end }}
{{- if and $autoscaling.keda.enabled (not $autoscaling.keda.serverAddress) }}
{{- $mistakes = append $mistakes (printf "workerGroups.%s.autoscaling.keda.serverAddress: is missing; it is Prometheus's URL, as http://prometheus-operated.monitoring:9090" $name) }}
{{- end }}
{{- if gt (int $autoscaling.minReplicas) (int $autoscaling.maxReplicas) }}
{{- $mistakes = append $mistakes (printf "workerGroups.%s.autoscaling.minReplicas: must not be above maxReplicas" $name) }}
{{- end }}
{{- end }}
{{- if gt (int $values.intake.autoscaling.minReplicas) (int $values.intake.autoscaling.maxReplicas) }}
{{- $mistakes = append $mistakes "intake.autoscaling.minReplicas: must not be above maxReplicas" }}
{{- end }}
{{- range list "intake" "flower" }}
{{- if eq (int (get $values.settings .).port) 0 }}
{{- $mistakes = append $mistakes (printf "settings.%s.port: is 0, and a Service needs to know the port; set one" .) }}
{{- end }}
{{- end }}
{{- $jwt := default (dict) $values.settings.jwt }}
{{- if and (eq (dig "require" "both" $values.settings.intake) "both") (eq (toJson (dig "algorithms" (list "HS256") $jwt)) "[\"HS256\"]") (not (get $values.secrets "jwt_secret")) }}
{{- $mistakes = append $mistakes "secrets.jwt_secret: is missing, so no token would be good and nobody could be let in; name the Secret with it" }}
{{- end }}
{{- if and $values.intake.audit.enabled (not (get $values.secrets "audit_keys")) }}
{{- $mistakes = append $mistakes "secrets.audit_keys: is missing; without keys, whoever may write to the audit log can write it anew. Name the Secret with them, or disable intake.audit" }}
{{- end }}
{{- if $values.flower.enabled }}
{{- if not (get $values.secrets "flower_password") }}
{{- $mistakes = append $mistakes "secrets.flower_password: is missing, and Flower does not start without; name the Secret with it, or disable flower" }}
{{- end }}
{{- if not (or (dig "flower" "broker_url" "" $values.settings) (get $values.secrets "flower_broker_url")) }}
{{- $mistakes = append $mistakes "settings.flower.broker_url: is missing; Flower gets a user of its own, who may do nothing but listen (docs/privacy.md#users-of-redis). Set it, or disable flower" }}
{{- end }}
{{- end }}
{{- $sources := dict }}
{{- range $name, $source := $values.secrets }}
{{- $_ := set $sources (printf "secrets.%s" $name) $source }}
{{- end }}
{{- range $name, $database := $values.databases }}
{{- $_ := set $sources (printf "databases.%s.password" $name) $database.password }}
{{- $_ := set $sources (printf "databases.%s.owner.password" $name) (dig "owner" "password" nil $database) }}
{{- end }}
{{- range $name, $webhook := $values.webhooks }}
{{- $_ := set $sources (printf "webhooks.%s.secrets" $name) $webhook.secrets }}
{{- end }}
{{- $isFetched := false }}
{{- range $path, $source := $sources }}
{{- if $source }}
{{- $isFetched = or $isFetched (not (empty $source.remoteRef)) }}
{{- if and $source.existingSecret $source.remoteRef }}
{{- $mistakes = append $mistakes (printf "%s: has both existingSecret and remoteRef; it comes from one of the two. Values of several files are laid over each other: set the other one to null" $path) }}
{{- else if not (or $source.existingSecret $source.remoteRef) }}
{{- $mistakes = append $mistakes (printf "%s: does not say where it comes from; name an existingSecret, or a remoteRef of External Secrets" $path) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $isFetched (not $values.externalSecrets.secretStoreRef.name) }}
{{- $mistakes = append $mistakes "externalSecrets.secretStoreRef.name: is missing, and a secret has a remoteRef; name the store that it is fetched from" }}
{{- end }}
{{- if and $values.ingress.enabled (not $values.ingress.hosts) }}
{{- $mistakes = append $mistakes "ingress.hosts: there are none; name one, as [carecase.example.org]" }}
{{- end }}
{{- if and $values.httpRoute.enabled (not $values.httpRoute.parentRefs) }}
{{- $mistakes = append $mistakes "httpRoute.parentRefs: there are none; name a gateway, as [{name: public, namespace: gateways}]" }}
{{- end }}
{{- if $mistakes }}
{{- fail (printf "\n\n%s\n" (join "\n" $mistakes)) }}
{{- end }}
{{- end }}
