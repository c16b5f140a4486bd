# shellcheck shell=bash
# shellcheck disable=SC2154  # `here` is the folder of the script that reads this
# The control plane and the node agent: what is started with which flags.

render_configs() {
  local file
  mkdir -p "$STATE/config" "$STATE/cni"
  for file in "$here"/config/*; do
    sed -e "s|@STATE@|$STATE|g" -e "s|@CONTAINERD_SOCKET@|$CONTAINERD_SOCKET|g" \
      -e "s|@PAUSE_IMAGE@|$PAUSE_IMAGE|g" -e "s|@POD_BRIDGE@|$POD_BRIDGE|g" \
      -e "s|@POD_CIDR@|$POD_CIDR|g" -e "s|@NODE_IP@|$NODE_IP|g" "$file" >"$STATE/config/${file##*/}"
  done
  cp "$STATE/config/pods.conflist" "$STATE/cni/10-pods.conflist"
}

start_etcd() {
  # The data need not outlive the machine, so nothing waits for the disk.
  start etcd "$BIN/etcd" --data-dir "$STATE/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --log-level warn
}

start_apiserver() {
  start kube-apiserver "$BIN/kube-apiserver" \
    --etcd-servers http://127.0.0.1:2379 \
    --bind-address "$NODE_IP" --advertise-address "$NODE_IP" --secure-port 6443 --cert-dir "$PKI" \
    --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" \
    --client-ca-file "$PKI/ca.crt" \
    --requestheader-client-ca-file "$PKI/front-proxy-ca.crt" --requestheader-allowed-names front-proxy-client \
    --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
    --requestheader-extra-headers-prefix X-Remote-Extra- \
    --proxy-client-cert-file "$PKI/front-proxy-client.crt" --proxy-client-key-file "$PKI/front-proxy-client.key" \
    --kubelet-preferred-address-types InternalIP \
    --kubelet-client-certificate "$PKI/apiserver-kubelet-client.crt" \
    --kubelet-client-key "$PKI/apiserver-kubelet-client.key" \
    --kubelet-certificate-authority "$PKI/ca.crt" \
    --service-account-key-file "$PKI/sa.pub" --service-account-signing-key-file "$PKI/sa.key" \
    --service-account-issuer https://kubernetes.default.svc --api-audiences https://kubernetes.default.svc \
    --service-cluster-ip-range "$SERVICE_CIDR" --authorization-mode Node,RBAC --allow-privileged \
    --audit-policy-file "$STATE/config/audit-policy.yaml" --audit-log-path "$AUDIT_LOG" --audit-log-format json
}

start_controllers() {
  start kube-controller-manager "$BIN/kube-controller-manager" \
    --kubeconfig "$STATE/kube-controller-manager.kubeconfig" --bind-address 127.0.0.1 --cert-dir "$PKI" \
    --service-account-private-key-file "$PKI/sa.key" --root-ca-file "$PKI/ca.crt" \
    --flex-volume-plugin-dir "$STATE/volume-plugins" \
    --use-service-account-credentials --leader-elect=false
  start kube-scheduler "$BIN/kube-scheduler" --kubeconfig "$STATE/kube-scheduler.kubeconfig" \
    --bind-address 127.0.0.1 --cert-dir "$PKI" --leader-elect=false
  start volume-provisioner "$BIN/volume-provisioner" --kubeconfig "$STATE/volume-provisioner.kubeconfig" \
    --root "$STATE/volumes" --node "$NODE_NAME"
}

start_node() {
  start kubelet "$BIN/kubelet" --config "$STATE/config/kubelet.yaml" --kubeconfig "$STATE/kubelet.kubeconfig" \
    --hostname-override "$NODE_NAME" --node-ip "$NODE_IP" --root-dir "$STATE/kubelet" --cert-dir "$PKI"
  # Zeros leave the kernel's connection tracking alone: it may not be ours to set.
  start kube-proxy "$BIN/kube-proxy" --kubeconfig "$STATE/kube-proxy.kubeconfig" --proxy-mode nftables \
    --hostname-override "$NODE_NAME" --cluster-cidr "$POD_CIDR" --conntrack-max-per-core 0 \
    --conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0
  start coredns "$BIN/coredns" -conf "$STATE/config/Corefile"
}

kubectl_() { "$BIN/kubectl" --kubeconfig "$ADMIN_CONFIG" "$@"; }

api_ready() { kubectl_ get --raw /readyz --request-timeout 2s; }

node_ready() {
  local ready
  ready=$(kubectl_ get node "$NODE_NAME" --request-timeout 2s \
    -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)
  [[ $ready == True ]]
}

# A pod in namespace default is refused until its service account exists.
account_ready() { kubectl_ get serviceaccount default --request-timeout 2s; }
