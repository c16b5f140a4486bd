# shellcheck shell=bash
# What the machine must allow and hold before anything is started.

preflight() {
  [[ $EUID -eq 0 ]] || fail "the cluster needs root (mounts, bridges, cgroups): run it as root, or use CLUSTER=current"
  install_programs
  check_address_free
  check_ports_free
  check_cgroups
  check_kernel
}

check_cgroups() {
  local controller
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    [[ -w /sys/fs/cgroup/cgroup.subtree_control ]] || fail "/sys/fs/cgroup is not writable: the node agent needs it"
    return
  fi
  for controller in cpu cpuacct cpuset memory; do
    [[ -w /sys/fs/cgroup/$controller ]] ||
      fail "cgroup controller '$controller' is not mounted writable at /sys/fs/cgroup/$controller: mount it, or use CLUSTER=current"
  done
}

check_kernel() {
  unshare --mount --net true 2>/dev/null ||
    fail "new mount and network namespaces are not allowed here: CAP_SYS_ADMIN is needed, or use CLUSTER=current"
  grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null ||
    fail "the kernel has no overlayfs: containers can't be stored; use CLUSTER=current"
  unshare --net ip link add probe0 type bridge 2>/dev/null ||
    fail "the kernel can't make a bridge (or CAP_NET_ADMIN is missing): use CLUSTER=current"
  unshare --net ip link add probe0 type veth peer probe1 2>/dev/null ||
    fail "the kernel can't make veth pairs (or CAP_NET_ADMIN is missing): use CLUSTER=current"
  unshare --net nft add table ip probe 2>/dev/null ||
    fail "the kernel has no nf_tables (or CAP_NET_ADMIN is missing): use CLUSTER=current"
}

# The node's address must not be somebody else's: a second cluster, say, or a
# network that the machine is on.
check_address_free() {
  local holder
  holder=$(ip -o -4 addr show to "$NODE_IP/24" 2>/dev/null | awk '{print $2}' | grep -vx "$NODE_BRIDGE" || true)
  [[ -z $holder ]] || fail "address $NODE_IP belongs to network device $holder: take that down, or use CLUSTER=current"
}

# Two of these clusters can't run on one machine; the second must not pull the
# network from under the first.
check_ports_free() {
  local port pid
  for port in 2379 2380 6443 10250 10257 10259; do
    pid=$(ss -Hltnp "sport = :$port" | grep -oP 'pid=\K[0-9]+' | head -1 || true)
    [[ -z $pid ]] || is_ours "$pid" ||
      fail "port $port is taken by process $pid ($(cat "/proc/$pid/comm")): another cluster, perhaps; stop it, or use CLUSTER=current"
  done
}

is_ours() {
  local file
  for file in "$PIDS"/*.pid; do
    [[ $(running_pid "$(basename "$file" .pid)") == "$1" ]] && return
  done
  return 1
}

install_programs() {
  local missing=()
  has containerd || missing+=(containerd)
  has runc || missing+=(runc)
  has nft || missing+=(nftables)
  has ip || missing+=(iproute2)
  has conntrack || missing+=(conntrack)
  has buildah || missing+=(buildah)
  has jq || missing+=(jq)
  has openssl || missing+=(openssl)
  has mount || missing+=(mount)
  [[ -x /usr/lib/cni/bridge ]] || missing+=(containernetworking-plugins)
  [[ ${#missing[@]} -eq 0 ]] || apt_install "${missing[@]}"
}

has() { command -v "$1" >/dev/null 2>&1; }

# The package lists are fetched only if what is there can't serve: that is the
# slow part, and other installs may be waiting for the lock.
apt_install() {
  local apt=(apt-get -qq -o DPkg::Lock::Timeout=600) log
  has apt-get || fail "these programs are missing and there is no apt-get to install them: $*"
  [[ $EUID -eq 0 ]] || fail "these programs are missing: as root, run 'apt-get install $*'"
  say "installing $*"
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  "${apt[@]}" install -y --no-install-recommends "$@" >"$log" 2>&1 ||
    { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "$@"; } >"$log" 2>&1 ||
    { tail -5 "$log" >&2; fail "apt-get could not install $*: the lines above say why"; }
  rm -f "$log"
}
