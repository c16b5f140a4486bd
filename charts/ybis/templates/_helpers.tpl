{{- define "ybis.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "ybis.operator" -}}
{{- $name := include "ybis.name" . -}}
{{- if contains "ybis" $name -}}{{ $name }}-operator{{- else -}}{{ $name }}-ybis-operator{{- end -}}
{{- end -}}

{{- define "ybis.postgres" -}}
{{ include "ybis.name" . }}-postgres
{{- end -}}

{{- define "ybis.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/part-of: ybis
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "ybis.operatorSelector" -}}
app.kubernetes.io/name: ybis
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "ybis.postgresSelector" -}}
app.kubernetes.io/name: ybis
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: postgres
{{- end -}}

{{- define "ybis.backup" -}}
{{ include "ybis.name" . }}-backup
{{- end -}}

{{- define "ybis.backupSelector" -}}
app.kubernetes.io/name: ybis
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: backup
{{- end -}}

{{- define "ybis.databaseSecret" -}}
{{- if .Values.database.existingSecret -}}
{{ .Values.database.existingSecret }}
{{- else -}}
{{ include "ybis.postgres" . }}
{{- end -}}
{{- end -}}

{{- /* Where pods may run: the same for all that the chart runs. */}}
{{- define "ybis.scheduling" -}}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "ybis.runnerImage" -}}
{{ .Values.runner.image.repository }}:{{ .Values.runner.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "ybis.config" -}}
{{- $runner := dict "image" (include "ybis.runnerImage" .) "imageAllow" .Values.runner.imageAllow "imagePullSecrets" .Values.runner.imagePullSecrets -}}
{{- toYaml (mergeOverwrite (dict "runner" $runner) (deepCopy .Values.config)) -}}
{{- end -}}

{{- define "ybis.dnsEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
  {{- with .Values.networkPolicy.dns.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
