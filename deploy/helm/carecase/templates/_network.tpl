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
