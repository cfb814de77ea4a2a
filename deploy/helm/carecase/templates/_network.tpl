{{/* carecase.egress (dict "to" PEERS "ports" LIST): a rule for who is reached; every address at those ports if there are no peers. */}}
{{- define "carecase.egress" -}}
- ports:
    {{- range .ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "carecase.dns" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
  {{- with .dns.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* carecase.privateNetworks ROOT: the networks that webhooks may lead to inside, as a JSON list of peers; none if no peers are named,
     since then every address is let through already. */}}
{{- define "carecase.privateNetworks" -}}
{{- $peers := list }}
{{- if .Values.networkPolicy.webhooks.to }}
{{- range dig "delivery" "private_networks" (list) .Values.settings }}
{{- $length := ternary "128" "32" (contains ":" .) }}
{{- $peers = append $peers (dict "ipBlock" (dict "cidr" (ternary . (printf "%s/%s" . $length) (contains "/" .)))) }}
{{- end }}
{{- end }}
{{- toJson $peers }}
{{- end }}

{{/* carecase.publicPaths ROOT: what clients reach from outside, behind the prefix of the service, as a JSON list; the page for jobs, and the
     description that it reads, as long as the intake serves it. */}}
{{- define "carecase.publicPaths" -}}
{{- $prefix := dig "intake" "root_path" "" .Values.settings | trimAll "/" }}
{{- $paths := .Values.publicPaths }}
{{- if dig "intake" "app_page" true .Values.settings }}
{{- $paths = concat $paths (list "/app" "/openapi.json") | uniq }}
{{- end }}
{{- $all := list }}
{{- range $paths }}
{{- $all = append $all (ternary (printf "/%s%s" $prefix .) . (ne $prefix "")) }}
{{- end }}
{{- toJson $all }}
{{- end }}
