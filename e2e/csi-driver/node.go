// The CSI services of the driver: which volumes it takes, and what is in them.
package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"sync"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The volume attributes in which the kubelet names the pod: the CSIDriver object has podInfoOnMount.
const (
	ofPod       = "csi.storage.k8s.io/pod.name"
	ofNamespace = "csi.storage.k8s.io/pod.namespace"
	ofAccount   = "csi.storage.k8s.io/serviceAccount.name"
	isEphemeral = "csi.storage.k8s.io/ephemeral"
)

type node struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer
	name           string
	provider       *provider
	mount, unmount func(directory string) error

	lock    sync.Mutex
	volumes map[string]*volume // by the directory that the kubelet wants them in
}

type volume struct {
	pod   pod
	class string
	files map[string][]byte
}

type pod struct{ namespace, name, account string }

func newNode(name string, p *provider) *node {
	return &node{name: name, provider: p, volumes: map[string]*volume{}}
}

func (n *node) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: driverName, VendorVersion: "stand-in"}, nil
}

func (n *node) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (n *node) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{}, nil
}

func (n *node) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: n.name}, nil
}

func (n *node) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{}, nil
}

// NodePublishVolume may be asked again for what is there already.
func (n *node) NodePublishVolume(ctx context.Context, request *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	attributes, directory := request.GetVolumeContext(), request.GetTargetPath()
	switch {
	case request.GetVolumeId() == "" || directory == "" || request.GetVolumeCapability() == nil:
		return nil, status.Error(codes.InvalidArgument, "volume id, target path and volume capability are required")
	case attributes[isEphemeral] != "true":
		return nil, status.Error(codes.InvalidArgument, "only inline volumes of pods are supported")
	case !request.GetReadonly():
		return nil, status.Error(codes.InvalidArgument, "Readonly is not true in request")
	case attributes["secretProviderClass"] == "":
		return nil, status.Error(codes.InvalidArgument, "secretProviderClass is not set")
	}
	v := &volume{pod: pod{attributes[ofNamespace], attributes[ofPod], attributes[ofAccount]}, class: attributes["secretProviderClass"]}
	n.lock.Lock()
	defer n.lock.Unlock()
	files, err := n.provider.files(ctx, v.pod, v.class)
	if err != nil {
		return nil, status.Error(codes.Unknown, err.Error())
	}
	if n.volumes[directory] == nil {
		if err := os.MkdirAll(directory, 0o750); err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		if err := n.mount(directory); err != nil {
			return nil, status.Errorf(codes.Internal, "mount %s: %v", directory, err)
		}
	}
	if err := replaceFiles(directory, files); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	v.files = files
	n.volumes[directory] = v
	return &csi.NodePublishVolumeResponse{}, nil
}

func (n *node) NodeUnpublishVolume(_ context.Context, request *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	directory := request.GetTargetPath()
	if request.GetVolumeId() == "" || directory == "" {
		return nil, status.Error(codes.InvalidArgument, "volume id and target path are required")
	}
	n.lock.Lock()
	defer n.lock.Unlock()
	// Of a driver that ran before, too: it may not be mounted any more.
	if err := n.unmount(directory); err != nil && n.volumes[directory] != nil {
		return nil, status.Errorf(codes.Internal, "unmount %s: %v", directory, err)
	}
	if err := os.RemoveAll(directory); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	delete(n.volumes, directory)
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// rotate replaces the files of the volumes whose secrets have changed.
func (n *node) rotate() {
	n.lock.Lock()
	defer n.lock.Unlock()
	for directory, v := range n.volumes {
		files, err := n.provider.files(context.Background(), v.pod, v.class)
		if err == nil && !maps.EqualFunc(files, v.files, bytes.Equal) {
			if err = replaceFiles(directory, files); err == nil {
				v.files = files
			}
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "csi-driver: rotation for %s/%s: %v\n", v.pod.namespace, v.pod.name, err)
		}
	}
}
