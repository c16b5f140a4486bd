# shellcheck shell=bash
# The node's own bridge. The pods' bridge is made by the network plugin, the
# service rules by kube-proxy; all of it is taken down here.

network_up() {
  remove_network
  touch "$PIDS/network"
  ip link add "$NODE_BRIDGE" type bridge
  ip addr add "$NODE_IP/24" dev "$NODE_BRIDGE"
  ip link set "$NODE_BRIDGE" up
  # An empty bridge has no carrier, and kube-proxy and the pods don't care.
  sysctl -qw net.ipv4.ip_forward=1
}

network_down() {
  # Without the mark the bridges belong to a cluster with another state folder.
  [[ -e $PIDS/network ]] || return 0
  remove_network
  rm "$PIDS/network"
}

remove_network() {
  local family
  for family in ip ip6; do nft delete table "$family" kube-proxy 2>/dev/null || true; done
  ip link del "$POD_BRIDGE" 2>/dev/null || true
  ip link del "$NODE_BRIDGE" 2>/dev/null || true
}
