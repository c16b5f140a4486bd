# shellcheck shell=bash disable=SC2034  # the other parts read these
# What a cluster is made of: folders, addresses, names.

CLUSTER_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/ybis/cluster
STATE=${YBIS_CLUSTER_DIR:-$CLUSTER_CACHE/state}

case ${CLUSTER:-local} in
  local) CLUSTER_KIND=local ;;
  current) CLUSTER_KIND=current ;;
  *)
    echo "cluster: CLUSTER is '$CLUSTER': it may be 'local' or 'current'" >&2
    exit 1
    ;;
esac

readonly NODE_NAME=ybis
readonly NODE_BRIDGE=lab0         # carries the node's address; the kernel may lack dummy links
readonly POD_BRIDGE=cni-lab0      # made by the bridge plugin, holds the pods' links
readonly NODE_IP=10.89.0.1
readonly POD_CIDR=10.88.0.0/16
readonly SERVICE_CIDR=10.96.0.0/16
readonly SERVICE_IP=10.96.0.1     # the first of SERVICE_CIDR: the API server's own
readonly API_URL=https://$NODE_IP:6443
readonly PAUSE_IMAGE=localhost/pause:ybis

readonly BIN=$STATE/bin          # a link to the programs that the running cluster was started from
readonly LOGS=$STATE/logs
readonly PIDS=$STATE/run
readonly AUDIT_LOG=$LOGS/audit.jsonl
readonly CONTAINERD_SOCKET=$STATE/containerd/containerd.sock
readonly ADMIN_CONFIG=$STATE/admin.kubeconfig
