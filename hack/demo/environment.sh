# What the demo and the cluster tests stand on; to be sourced. Each function may be called again and does only what is missing.
# shellcheck shell=bash

readonly SYSTEM_NAMESPACE=ybis-system DEMO_NAMESPACE=ybis-demo RELEASE=ybis
readonly IMAGES=(ybis-operator ybis-runner ybis-cli ybis-postgres ybis-git-server)
demo_state=${XDG_CACHE_HOME:-$HOME/.cache}/ybis/demo
recordings=(examples/recordings)
values=(--values hack/demo/manifests/values.yaml)
# The end-to-end tests need more answers, and a model that is down.
if [[ -n ${YBIS_E2E:-} ]]; then
  recordings+=(tests/e2e/recordings)
  values+=(--values tests/e2e/values.yaml)
fi

step() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*" >&2; }

environment_cluster() {
  step "cluster: up"
  hack/cluster/cluster up
  eval "$(hack/cluster/cluster env)"
  environment_tools
  environment_own
}

# A cluster of this machine brings them along.
environment_tools() {
  local tool
  for tool in kubectl helm ${YBIS_E2E:+kubeconform}; do
    command -v "$tool" >/dev/null && continue
    echo "$tool is not in PATH: install it, or have \`hack/cluster/cluster build\` compile it" >&2
    return 1
  done
}

readonly DEMO_LABEL=ybis.dev/demo
readonly WHOSE='{range .items[*]}{.metadata.namespace}{"\n"}{end}'

# The namespaces in which somebody has YBIS, or has made ready for it.
installed_namespaces() {
  kubectl get deployments -A -l app.kubernetes.io/name=ybis -o jsonpath="$WHOSE"
  kubectl get secrets -A -l "owner=helm,name=$RELEASE" -o jsonpath="$WHOSE"
  kubectl get secrets -n "$SYSTEM_NAMESPACE" --field-selector metadata.name=model-keys -o jsonpath="$WHOSE"
}

# A cluster of somebody's own may run a YBIS in earnest: nothing is replaced or removed beside one that no demo made.
environment_own() {
  [[ ${CLUSTER:-local} == current ]] || return 0
  local namespaces namespace
  namespaces=$(installed_namespaces | sort -u) || return
  for namespace in $namespaces; do
    [[ $(kubectl get namespace "$namespace" -o jsonpath='{.metadata.labels.ybis\.dev/demo}') == true ]] && continue
    echo "namespace $namespace of this cluster has a YBIS that no demo made, and it would be replaced: use another cluster, or" \
      "\`kubectl label namespace $namespace $DEMO_LABEL=true\` if it may be" >&2
    return 1
  done
}

environment_images() {
  local image
  for image in "${IMAGES[@]}"; do
    step "image: $image"
    hack/images/build "$image"
  done
}

# The git host's certificate is made once, so that a second run changes nothing.
demo_certificate() {
  mkdir -p "$demo_state" && chmod 700 "$demo_state"
  [[ -s $demo_state/tls.crt ]] && openssl x509 -checkend 86400 -noout -in "$demo_state/tls.crt" >/dev/null && return
  (
    cd "$demo_state" || exit
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 365 \
      -subj "/CN=ybis demo git CA"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out tls.csr -subj "/CN=git.$DEMO_NAMESPACE.svc"
    printf 'subjectAltName=DNS:git.%s.svc,DNS:git.%s.svc.cluster.local\n' "$DEMO_NAMESPACE" "$DEMO_NAMESPACE" >tls.ext
    openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out tls.crt -extfile tls.ext
    openssl rand -hex 16 | tr -d '\n' >password
  ) 2>/dev/null
}

# By the server: kubectl's own apply keeps a copy in an annotation, and what the git host starts from is too big for one.
apply_made() {
  kubectl create "$@" --dry-run=client -o yaml | kubectl apply --server-side --force-conflicts -f - >/dev/null
}

demo_secrets() {
  local n=$DEMO_NAMESPACE
  apply_made secret tls git-tls -n "$n" --cert="$demo_state/tls.crt" --key="$demo_state/tls.key"
  apply_made secret generic git-ca -n "$n" --from-file=ca.crt="$demo_state/ca.crt"
  apply_made secret generic git-credentials -n "$n" --from-literal=username=ybis --from-file=password="$demo_state/password"
  apply_made secret generic model-keys -n "$SYSTEM_NAMESPACE" --from-literal=api-key=not-a-real-key
}

demo_seeds() {
  local folder seeds=()
  for folder in examples/repositories/*/; do
    folder=$(basename "$folder")
    tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -C "examples/repositories/$folder" \
      -cf "$demo_state/$folder.tar" .
    seeds+=("--from-file=$folder.tar=$demo_state/$folder.tar")
  done
  apply_made configmap git-seed -n "$DEMO_NAMESPACE" "${seeds[@]}"
  apply_made configmap recordings -n "$DEMO_NAMESPACE" "${recordings[@]/#/--from-file=}"
}

# The digest of an image as the cluster has it, so that a rebuilt one rolls its pods.
image_digest() {
  buildah inspect --type image --format '{{.FromImageID}}' "localhost/$1" 2>/dev/null ||
    docker image inspect --format '{{.Id}}' "localhost/$1" 2>/dev/null || echo unknown
}

roll_on_change() {
  local deployment=$1 facts=$2
  kubectl -n "$DEMO_NAMESPACE" patch deployment "$deployment" -p \
    "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"ybis.dev/inputs\":\"$facts\"}}}}}" >/dev/null
}

environment_services() {
  step "services: git host and recorded model in namespace $DEMO_NAMESPACE"
  local namespace
  for namespace in "$SYSTEM_NAMESPACE" "$DEMO_NAMESPACE"; do
    apply_made namespace "$namespace"
    kubectl label --overwrite namespace "$namespace" "$DEMO_LABEL=true" >/dev/null
  done
  demo_certificate
  demo_secrets
  demo_seeds
  kubectl -n "$DEMO_NAMESPACE" apply -f hack/demo/manifests/git-server.yaml -f hack/demo/manifests/model-server.yaml >/dev/null
  roll_on_change recorded-model "$(find "${recordings[@]}" -name "*.json" -print0 | sort -z | xargs -0 cat | sha256sum | cut -c1-16)-$(image_digest ybis-cli)"
  roll_on_change git "$(cat "$demo_state"/tls.crt "$demo_state"/*.tar | sha256sum | cut -c1-16)-$(image_digest ybis-git-server)"
}

environment_install() {
  step "helm: ybis in namespace $SYSTEM_NAMESPACE"
  kubectl apply --server-side --force-conflicts -f crds/ >/dev/null
  helm upgrade --install "$RELEASE" charts/ybis --namespace "$SYSTEM_NAMESPACE" "${values[@]}" \
    --set "podAnnotations.ybis\.dev/image=$(image_digest ybis-operator)" --wait --timeout 5m >/dev/null
  kubectl -n "$DEMO_NAMESPACE" rollout status deployment/git deployment/recorded-model --timeout=2m >/dev/null
}

# git against the demo's host, from this machine: its name is resolved to the Service's address.
demo_git() {
  local address
  address=$(kubectl -n "$DEMO_NAMESPACE" get service git -o jsonpath='{.spec.clusterIP}')
  GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0 GIT_SSL_CAINFO=$demo_state/ca.crt git \
    -c "http.curloptResolve=git.$DEMO_NAMESPACE.svc:8443:$address" \
    -c "http.extraHeader=Authorization: Basic $(printf 'ybis:%s' "$(cat "$demo_state/password")" | base64 -w0)" "$@"
}

environment_up() {
  environment_cluster
  environment_images
  environment_services
  environment_install
}
