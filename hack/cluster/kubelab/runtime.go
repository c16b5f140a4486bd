package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	cri "k8s.io/cri-client/pkg"
)

// cleanRuntime stops and removes every pod that a container runtime holds, with
// its containers, mounts and network. It goes through the runtime's own
// interface, so that the runtime's record stays true and the network plugin
// gives the addresses back.
func cleanRuntime(args []string) error {
	flags := flag.NewFlagSet("cri-clean", flag.ExitOnError)
	endpoint := flags.String("endpoint", "", "address of the runtime's socket (unix://...)")
	timeout := flags.Duration("timeout", 60*time.Second, "how long to try")
	_ = flags.Parse(args)

	runtime, err := cri.NewRemoteRuntimeService(*endpoint, *timeout, nil, nil)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", *endpoint, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	pods, err := runtime.ListPodSandbox(ctx, nil)
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	var failures []error
	for _, pod := range pods {
		if err := runtime.StopPodSandbox(ctx, pod.Id); err != nil {
			failures = append(failures, fmt.Errorf("stop pod %s: %w", pod.Id, err))
		}
		if err := runtime.RemovePodSandbox(ctx, pod.Id); err != nil {
			failures = append(failures, fmt.Errorf("remove pod %s: %w", pod.Id, err))
		}
	}
	return errors.Join(failures...)
}
