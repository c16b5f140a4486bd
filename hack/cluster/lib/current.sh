# shellcheck shell=bash
# The same verbs on the cluster of the current kubectl context. Nothing is
# started or stopped there.

# The machine's own tools come first, and behind them those that were compiled for a cluster of its own.
current_path() { if built; then echo "$PATH:$(bin_folder)"; else echo "$PATH"; fi; }

current_context() {
  has kubectl || fail "CLUSTER=current needs kubectl in PATH ('cluster build' prints a folder that has one)"
  kubectl config current-context 2>/dev/null || fail "kubectl has no current context: set KUBECONFIG or run 'kubectl config use-context NAME'"
}

current_up() {
  local context verb
  context=$(current_context)
  kubectl get --raw /readyz --request-timeout 10s >/dev/null 2>&1 ||
    fail "the API server of context '$context' does not answer: see 'kubectl get --raw /readyz'"
  for verb in "create customresourcedefinitions.apiextensions.k8s.io" "create clusterroles.rbac.authorization.k8s.io" \
    "create namespaces"; do
    # shellcheck disable=SC2086  # the verb and the resource are two words
    kubectl auth can-i $verb >/dev/null 2>&1 || fail "context '$context' may not $verb: use one with cluster-admin rights"
  done
  say "context '$context' answers and has the rights"
}

current_down() { say "CLUSTER=current: the cluster of context '$(current_context)' is left running"; }

current_status() {
  current_up
  kubectl get nodes
}

current_env() {
  current_context >/dev/null
  if [[ -n ${KUBECONFIG:-} ]]; then printf 'export KUBECONFIG=%q\n' "$KUBECONFIG"; fi
  if built; then printf 'export PATH="$PATH":%q\n' "$(bin_folder)"; fi
}

current_schemas() {
  current_context >/dev/null
  kubectl get --raw /openapi/v2 | write_schemas "$1"
}

current_load() {
  local context name=$1 loader
  context=$(current_context)
  case $context in
    kind-*) loader=(kind load image-archive --name "${context#kind-}") ;;
    minikube) loader=(minikube image load) ;;
    k3d-*) loader=(k3d image import --cluster "${context#k3d-}") ;;
    ybis)
      local_load "$name"
      return
      ;;
    *) fail "context '$context' is no kind, minikube or k3d cluster: push $name to a registry that it can pull from" ;;
  esac
  has "${loader[0]}" || fail "context '$context' needs the program ${loader[0]} to load an image"
  load_with "$name" "${loader[@]}"
}

# All three take an archive, so it does not matter which builder made the image.
load_with() {
  local name=$1 folder
  shift
  if [[ -f $name ]]; then
    "$@" "$name"
    return
  fi
  name=$(full_name "$name")
  folder=$(mktemp -d)
  store_export "$name" "$folder/image.tar"
  "$@" "$folder/image.tar"
  rm -r "$folder"
  say "loaded $name into context '$context'"
}
