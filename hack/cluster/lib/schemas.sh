# shellcheck shell=bash
# The published schemas can't be fetched everywhere, and they don't know the
# resources that a chart itself installs: the API server serves both.

# write_schemas FOLDER, from an OpenAPI v2 document: one file a kind, named as
# kubeconform names them (deployment-apps-v1.json), and the definitions that
# they share. Unknown fields are errors, as they are to the API server when it
# is asked to be strict.
write_schemas() {
  mkdir -p "$1"
  jq "$CLOSED_DEFINITIONS" >"$1/_definitions.json"
  jq -r '.definitions | to_entries[] | .key as $name
      | .value["x-kubernetes-group-version-kind"] // [] | .[]
      | [.kind, (.group | split(".")[0] // ""), .version] | map(select(. != "")) | join("-") | ascii_downcase
      | "\(.) \($name)"' "$1/_definitions.json" |
    while read -r file name; do
      # shellcheck disable=SC2016  # $ref is JSON schema's word
      printf '{"$ref": "_definitions.json#/definitions/%s"}\n' "$name" >"$1/$file.json"
    done
}

# Quantities and ports-or-names are declared as strings, but numbers may stand there.
readonly CLOSED_DEFINITIONS='
  {definitions: .definitions
    | map_values(if has("properties") and (has("additionalProperties") | not)
        and (."x-kubernetes-preserve-unknown-fields" | not) then .additionalProperties = false else . end)
    | with_entries(if .key | test("api.resource.Quantity$|util.intstr.IntOrString$")
        then .value = {type: ["string", "number"]} else . end)}'
