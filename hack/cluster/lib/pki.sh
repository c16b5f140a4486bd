# shellcheck shell=bash
# Certificates and kubeconfigs. They are made once and kept over `down`, so a
# shell that has the environment of an earlier cluster can go on.

readonly PKI=$STATE/pki

make_pki() {
  [[ -e $PKI/.complete ]] && return
  say "making certificates"
  rm -rf "$PKI"
  (umask 077 && mkdir -p "$PKI")
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
    -keyout "$PKI/ca.key" -out "$PKI/ca.crt" -subj /CN=ybis-cluster 2>/dev/null
  certificate apiserver /CN=kube-apiserver "subjectAltName=DNS:kubernetes,DNS:kubernetes.default,\
DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$SERVICE_IP,IP:$NODE_IP"
  certificate kubelet "/O=system:nodes/CN=system:node:$NODE_NAME" "subjectAltName=DNS:$NODE_NAME,IP:$NODE_IP"
  certificate admin /O=system:masters/CN=admin
  certificate apiserver-kubelet-client /O=system:masters/CN=apiserver-kubelet-client
  # The provisioner and the name server are no parts of Kubernetes, so no role
  # is made for them: they borrow the rights of the cluster's owner.
  certificate volume-provisioner /O=system:masters/CN=volume-provisioner
  certificate coredns /O=system:masters/CN=coredns
  local component
  for component in kube-controller-manager kube-scheduler kube-proxy; do
    certificate "$component" "/CN=system:$component"
  done
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$PKI/sa.key" 2>/dev/null
  openssl pkey -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub"
  touch "$PKI/.complete"
}

# What the API server proves itself with to aggregated APIs; of an authority of its own, as the API server demands.
make_front_proxy() {
  [[ -e $PKI/front-proxy-client.crt ]] && return
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
    -keyout "$PKI/front-proxy-ca.key" -out "$PKI/front-proxy-ca.crt" -subj /CN=ybis-cluster-front-proxy 2>/dev/null
  authority=front-proxy-ca certificate front-proxy-client /CN=front-proxy-client
}

# certificate NAME SUBJECT [EXTENSION], of $authority or ca
certificate() {
  local path=$PKI/$1 authority=${authority:-ca}
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout "$path.key" -out "$path.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$path.csr" -CA "$PKI/$authority.crt" -CAkey "$PKI/$authority.key" -CAcreateserial -days 3650 \
    -out "$path.crt" -extfile <(echo "${3:-extendedKeyUsage=clientAuth}") 2>/dev/null
  rm "$path.csr"
}

make_kubeconfigs() {
  local user
  for user in admin kube-controller-manager kube-scheduler kube-proxy kubelet volume-provisioner coredns; do
    (umask 077 && kubeconfig "$user" >"$STATE/$user.kubeconfig")
  done
}

kubeconfig() {
  cat <<TEXT
apiVersion: v1
kind: Config
clusters: [{name: ybis, cluster: {server: "$API_URL", certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$PKI/$1.crt"), client-key-data: $(base64 -w0 "$PKI/$1.key")}}]
contexts: [{name: ybis, context: {cluster: ybis, user: $1}}]
current-context: ybis
TEXT
}
