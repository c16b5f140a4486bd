package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"
)

const (
	provisionerName       = "ybis.dev/local-folder"
	provisionerAnnotation = "volume.kubernetes.io/storage-provisioner"
	pvAnnotation          = "pv.kubernetes.io/provisioned-by"
)

// provisioner makes a folder on the node for every claim of its StorageClass
// and removes it with the volume. The host-path provisioner that Kubernetes has
// built in makes folders that only root may write, and hides them in /tmp; here
// a folder is open to any user before the volume that names it exists.
type provisioner struct {
	client kubernetes.Interface
	root   string
	node   string
	claims corelisters.PersistentVolumeClaimLister
	pvs    corelisters.PersistentVolumeLister
}

func provisionVolumes(args []string) error {
	flags := flag.NewFlagSet("volume-provisioner", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "path of the kubeconfig")
	root := flags.String("root", "", "folder that holds the volumes")
	node := flags.String("node", "", "name of the node that the folder is on")
	_ = flags.Parse(args)

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.UserAgent = "volume-provisioner"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	factory := informers.NewSharedInformerFactory(client, time.Minute)
	claims, pvs := factory.Core().V1().PersistentVolumeClaims(), factory.Core().V1().PersistentVolumes()
	changed := make(chan struct{}, 1)
	for _, informer := range []cache.SharedIndexInformer{claims.Informer(), pvs.Informer()} {
		if _, err := informer.AddEventHandler(notifier(changed)); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	p := provisioner{client: client, root: *root, node: *node, claims: claims.Lister(), pvs: pvs.Lister()}
	p.loop(ctx, changed)
	return nil
}

// notifier turns every event into the same wish to look again: a pass over all
// claims is cheap on one node and can miss nothing.
func notifier(changed chan<- struct{}) cache.ResourceEventHandler {
	wake := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { wake() },
		UpdateFunc: func(any, any) { wake() },
		DeleteFunc: func(any) { wake() },
	}
}

func (p *provisioner) loop(ctx context.Context, changed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			p.reconcile(ctx)
		}
	}
}

func (p *provisioner) reconcile(ctx context.Context) {
	claims, _ := p.claims.List(labels.Everything())
	for _, claim := range claims {
		if wanted(claim) {
			report("provision "+claim.Namespace+"/"+claim.Name, p.provision(ctx, claim))
		}
	}
	pvs, _ := p.pvs.List(labels.Everything())
	for _, pv := range pvs {
		if released(pv) {
			report("delete "+pv.Name, p.remove(ctx, pv))
		}
	}
}

func report(what string, err error) {
	if err != nil {
		log.Printf("%s: %v", what, err)
	}
}

func wanted(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Annotations[provisionerAnnotation] == provisionerName &&
		claim.Status.Phase == corev1.ClaimPending && claim.Spec.VolumeName == "" && claim.DeletionTimestamp == nil
}

func released(pv *corev1.PersistentVolume) bool {
	return pv.Annotations[pvAnnotation] == provisionerName && pv.Status.Phase == corev1.VolumeReleased &&
		pv.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete
}

func (p *provisioner) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	name := "pvc-" + string(claim.UID)
	if _, err := p.pvs.Get(name); err == nil {
		return nil
	}
	folder := filepath.Join(p.root, name)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	// The umask has narrowed the mode that MkdirAll was given.
	if err := os.Chmod(folder, 0o777); err != nil {
		return err
	}
	_, err := p.client.CoreV1().PersistentVolumes().Create(ctx, p.volume(name, folder, claim), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (p *provisioner) volume(name, folder string, claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{pvAnnotation: provisionerName}},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      claim.Spec.Resources.Requests,
			ClaimRef:                      claimRef(claim),
			NodeAffinity:                  nodeAffinity(p.node),
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				Local: &corev1.LocalVolumeSource{Path: folder},
			},
			StorageClassName: *claim.Spec.StorageClassName,
			VolumeMode:       claim.Spec.VolumeMode,
		},
	}
}

func claimRef(claim *corev1.PersistentVolumeClaim) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "PersistentVolumeClaim",
		Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
	}
}

func nodeAffinity(node string) *corev1.VolumeNodeAffinity {
	return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{
				Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
			}},
		}},
	}}
}

func (p *provisioner) remove(ctx context.Context, pv *corev1.PersistentVolume) error {
	folder := filepath.Join(p.root, pv.Name)
	if pv.Spec.Local == nil || pv.Spec.Local.Path != folder {
		return fmt.Errorf("its path is not %s", folder)
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	return retry.OnError(retry.DefaultRetry, apierrors.IsConflict, func() error {
		err := p.client.CoreV1().PersistentVolumes().Delete(ctx, pv.Name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}
