# shellcheck shell=bash
# The container runtime: its own containerd beside whatever the machine runs.
# Images are kept over `down`, so they are loaded once; pods never are.

ctr_() { ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"; }

runtime_up() {
  mkdir -p "$STATE/containerd"
  start containerd containerd -c "$STATE/config/containerd.toml"
  await containerd 30 ctr_ version
}

runtime_down() {
  stop containerd 10
  end_shims
}

# A pod that outlived its node agent (or the containerd that ran it) is removed
# through the runtime, which alone knows its mounts, namespaces and addresses.
clean_pods() {
  compgen -G "$STATE/containerd/root/io.containerd.grpc.v1.cri/sandboxes/*" >/dev/null || return 0
  is_running containerd || runtime_up
  "$BIN/cri-clean" --endpoint "unix://$CONTAINERD_SOCKET" >"$LOGS/cri-clean.log" 2>&1 ||
    say "some pods could not be removed in order: see $LOGS/cri-clean.log"
}

# The node agent leaves its groups behind, empty.
remove_cgroups() {
  find /sys/fs/cgroup -maxdepth 3 -type d -name kubepods -prune -print 2>/dev/null | while read -r group; do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}

# Shims that no containerd answers for any more; the socket's path in their
# arguments says whose they are. Their containers' first processes go first.
end_shims() {
  local pid file arguments
  for file in "$STATE"/containerd/run/io.containerd.runtime.v2.task/k8s.io/*/init.pid; do
    [[ -e $file ]] || continue
    pid=$(<"$file")
    # The id may be another's by now: only the container's own cgroup tells.
    if grep -qs "$(basename "$(dirname "$file")")" "/proc/$pid/cgroup"; then kill -KILL "$pid" || true; fi
  done
  for file in /proc/[0-9]*/cmdline; do
    arguments=$(tr '\0' ' ' 2>/dev/null <"$file") || continue
    [[ $arguments == *containerd-shim* && $arguments == *"-address $CONTAINERD_SOCKET "* ]] || continue
    pid=${file#/proc/}
    kill -KILL "${pid%/cmdline}" 2>/dev/null || true
  done
}

has_image() { [[ -n $(ctr_ images list --quiet "name==$1") ]]; }

import_archive() {
  ctr_ images import "$1" >"$LOGS/import.log" 2>&1 || fail "containerd did not take $1: $(tail -1 "$LOGS/import.log")"
}

# The image that holds a pod's namespaces: one static program.
load_pause() {
  local archive
  has_image "$PAUSE_IMAGE" && return
  archive=$BIN/pause.tar
  [[ -e $archive ]] || make_pause "$archive"
  import_archive "$archive"
}

make_pause() {
  local container
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$BIN/pause" /pause >/dev/null
  buildah config --entrypoint '["/pause"]' --user 65535:65535 "$container"
  buildah commit --quiet --rm "$container" "$PAUSE_IMAGE" >/dev/null
  export_image "$PAUSE_IMAGE" "$1"
}

# export_image NAME ARCHIVE, from buildah's storage.
export_image() {
  rm -f "$2"
  buildah push --quiet "$1" "docker-archive:$2:$1" >&2 || fail "buildah could not write image $1 to $2"
}

# Image names as containerd keeps them: with registry and tag.
full_name() {
  local name=$1
  [[ ${name##*/} == *:* ]] || name+=:latest
  case ${name%%/*} in
    "$name") name=docker.io/library/$name ;;
    *.* | *:* | localhost) ;;
    *) name=docker.io/$name ;;
  esac
  echo "$name"
}
