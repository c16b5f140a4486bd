// Kubelab holds a whole Kubernetes in one program and runs the component that
// it is called by: `kubelab COMPONENT [flags]`, or through a link named for the
// component.
//
// One program rather than nine keeps the build on two cores to minutes, since
// the modules that the components share are linked once.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// components maps a name to what runs it. os.Args is already that of the
// component when it is called.
var components = map[string]func(){
	"coredns":                 runDNS,
	"cri-clean":               func() { exitOn(cleanRuntime(os.Args[1:])) },
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"kube-apiserver":          func() { run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() { run(controllermanager.NewControllerManagerCommand()) },
	"kube-proxy":              func() { run(proxy.NewProxyCommand()) },
	"kube-scheduler":          func() { run(scheduler.NewSchedulerCommand()) },
	"kubectl":                 runKubectl,
	"kubelet":                 func() { run(kubelet.NewKubeletCommand(context.Background())) },
	"volume-provisioner":      func() { exitOn(provisionVolumes(os.Args[1:])) },
}

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	if name == "kubelab" && len(args) > 0 {
		name, args = args[0], args[1:]
	}
	component, known := components[name]
	if !known {
		fmt.Fprintf(os.Stderr, "kubelab: unknown component %q; known: %s\n", name, strings.Join(names(), " "))
		os.Exit(2)
	}
	os.Args = append([]string{name}, args...)
	component()
}

func names() []string {
	var all []string
	for name := range components {
		all = append(all, name)
	}
	sort.Strings(all)
	return all
}

func run(command *cobra.Command) { os.Exit(cli.Run(command)) }

// runKubectl reports errors as kubectl's own main does, without the usage text.
func runKubectl() {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
}
