# shellcheck shell=bash
# shellcheck disable=SC2154  # `here` is the folder of the script that reads this
# The verbs on the cluster that this script runs on this machine.

# In the order of their ending: who acts on pods before who stores them.
readonly CONTROL=(kubelet kube-proxy coredns volume-provisioner kube-scheduler kube-controller-manager
  kube-apiserver etcd)

local_up() {
  local programs started
  programs=$(cluster_build)
  lock
  if all_running && node_ready; then
    say "already running$(same_build "$programs" || echo ', from other sources: down and up to change that')"
    return
  fi
  started=$SECONDS
  preflight
  sweep
  ln -sfn "$programs" "$BIN"
  bring_up
  say "node Ready after $((SECONDS - started)) s: eval \"\$($here/cluster env)\""
}

same_build() { [[ $(readlink "$BIN") == "$1" ]]; }

bring_up() {
  make_pki
  make_front_proxy
  make_kubeconfigs
  render_configs
  mkdir -p "$STATE/volumes" "$STATE/pod-logs"
  rm -f "$AUDIT_LOG"
  network_up
  say "starting etcd, kube-apiserver and containerd"
  start_etcd
  await etcd 20 http_ok 127.0.0.1 2379 /health
  start_apiserver
  runtime_up
  load_pause
  await kube-apiserver 60 api_ready
  say "starting controllers, scheduler and node"
  start_controllers
  start_node
  kubectl_ apply -f "$STATE/config/storage-class.yaml" >/dev/null
  await kube-controller-manager 60 account_ready
  await kubelet 60 node_ready
  await coredns 30 http_ok "$NODE_IP" 8086 /ready
}

local_down() {
  [[ -d $STATE ]] || { say "not running"; return; }
  [[ $EUID -eq 0 ]] || fail "down needs root, as up did"
  lock
  sweep
  say "stopped; images and certificates are kept in $STATE"
}

# Takes away all that a running, half-started or killed cluster has left. The
# images, certificates and logs stay.
sweep() {
  local name
  mkdir -p "$LOGS" "$PIDS"
  if is_running kubelet; then say "stopping what runs"; fi
  for name in "${CONTROL[@]}"; do stop "$name"; done
  clean_pods
  runtime_down
  remove_cgroups
  unmount_all
  network_down
  rm -rf --one-file-system "$STATE"/{etcd,kubelet,volumes,pod-logs,cni,cni-addresses,containerd/run}
}

# Everything mounted below the state folder, the deepest first.
unmount_all() {
  local mount
  while read -r mount; do
    umount "$mount" 2>/dev/null || umount --lazy "$mount" || fail "can't unmount $mount: see who uses it and try again"
  done < <(mounts_below "$STATE")
}

mounts_below() {
  awk -v root="$1/" 'index($5, root) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r mount; do
    printf '%b\n' "$mount"
  done
}

all_running() {
  local name
  for name in containerd "${CONTROL[@]}"; do is_running "$name" || return 1; done
}

# One person at a time brings it up or down; descriptor 9 is closed in children.
lock() {
  mkdir -p "$STATE"
  exec 9>"$STATE/lock"
  flock --wait 600 9 || fail "another cluster command holds $STATE/lock since ten minutes"
}

local_status() {
  local name pid
  for name in containerd "${CONTROL[@]}"; do
    if pid=$(running_pid "$name"); then echo "$name: running, process $pid"; else echo "$name: not running"; fi
  done
  echo "logs: $LOGS"
  echo "audit log: $AUDIT_LOG"
  if not node_ready; then fail "the node is not ready: run '$here/cluster up'"; fi
  echo "node: Ready"
}

local_env() {
  if not all_running; then fail "the cluster is not running: run '$here/cluster up'"; fi
  printf 'export %s\n' "KUBECONFIG=$(quoted "$ADMIN_CONFIG")" "PATH=$(quoted "$BIN"):\"\$PATH\"" \
    "YBIS_AUDIT_LOG=$(quoted "$AUDIT_LOG")" "YBIS_CLUSTER_HOST_IP=$NODE_IP" \
    "CONTAINERD_ADDRESS=$(quoted "$CONTAINERD_SOCKET")" CONTAINERD_NAMESPACE=k8s.io
}

quoted() { printf '%q' "$1"; }

# An image is imported only when the node has another one by that name.
local_load() {
  is_running containerd || fail "the cluster is not running: run '$here/cluster up'"
  if [[ -f $1 ]]; then
    import_archive "$1"
    say "loaded archive $1"
    return
  fi
  local name id record archive
  name=$(full_name "$1")
  id=$(image_id "$name") || fail "no image $name in buildah's or docker's storage: build it first (hack/images/build)"
  record=$STATE/loaded/$(sha256sum <<<"$name" | cut -c1-32)
  if [[ -e $record && $(<"$record") == "$id" ]] && has_image "$name"; then
    say "$name is already loaded"
    return
  fi
  archive=$(mktemp -u "$STATE/image.XXXXXX.tar")
  store_export "$name" "$archive"
  import_archive "$archive"
  rm -f "$archive"
  mkdir -p "$STATE/loaded"
  echo "$id" >"$record"
  say "loaded $name"
}

image_id() {
  if in_buildah "$1"; then
    buildah inspect --type image --format '{{.FromImageID}}' "$1"
  else
    has docker && docker image inspect --format '{{.Id}}' "$1" 2>/dev/null
  fi
}

store_export() {
  if in_buildah "$1"; then export_image "$1" "$2"; else docker save --output "$2" "$1"; fi
}

in_buildah() { has buildah && buildah inspect --type image "$1" >/dev/null 2>&1; }

local_schemas() {
  all_running || fail "the cluster is not running: run '$here/cluster up'"
  kubectl_ get --raw /openapi/v2 | write_schemas "$1"
}

local_logs() {
  if [[ -z $1 ]]; then
    echo "components: containerd ${CONTROL[*]}"
  else
    tail -n 100 "$LOGS/$1.log"
  fi
}
