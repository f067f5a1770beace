package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// apiServer has the classes of the namespace bakers, and gives tokens to the provider, or says why not.
type apiServer struct {
	classes  map[string]map[string]string // parameters by name
	account  map[string]string            // annotations of the ServiceAccount
	refusal  string
	audience string
	bound    string
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fail := func(code int, message string) {
		w.WriteHeader(code)
		json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "message": message})
	}
	const account = "/api/v1/namespaces/bakers/serviceaccounts/baker-one-signer"
	class, isClass := strings.CutPrefix(r.URL.Path, "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/bakers/secretproviderclasses/")
	switch {
	case r.Header.Get("Impersonate-User") != "system:serviceaccount:kube-system:provider":
		fail(403, "who is this?")
	case isClass && a.classes[class] != nil:
		json.NewEncoder(w).Encode(map[string]any{"spec": map[string]any{"provider": "aws", "parameters": a.classes[class]}})
	case isClass:
		fail(404, fmt.Sprintf("secretproviderclasses.secrets-store.csi.x-k8s.io %q not found", class))
	case r.URL.Path == account:
		json.NewEncoder(w).Encode(map[string]any{"metadata": map[string]any{"annotations": a.account}})
	case r.URL.Path == account+"/token" && a.refusal != "":
		fail(403, a.refusal)
	case r.URL.Path == account+"/token" && r.Method == http.MethodPost:
		var request struct {
			Spec struct {
				Audiences      []string
				BoundObjectRef struct{ Name string }
			}
		}
		json.NewDecoder(r.Body).Decode(&request)
		a.audience, a.bound = strings.Join(request.Spec.Audiences, " "), request.Spec.BoundObjectRef.Name
		json.NewEncoder(w).Encode(map[string]any{"status": map[string]any{"token": "t"}})
	default:
		fail(404, r.URL.Path)
	}
}

// The driver by its sockets, as the kubelet asks it.
func TestTheDriver(t *testing.T) {
	root := t.TempDir()
	cluster := &apiServer{classes: map[string]map[string]string{}}
	server := httptest.NewServer(cluster)
	t.Cleanup(server.Close)
	secrets := filepath.Join(root, "secrets")
	must(t, os.Mkdir(secrets, 0o700))
	mounts := map[string]int{}
	n := newNode("node-1", &provider{&api{server.URL, "system:serviceaccount:kube-system:provider", server.Client()}, secrets})
	n.mount = func(directory string) error { mounts[directory]++; return nil }
	n.unmount = func(directory string) error { mounts[directory]--; return nil }
	dial := func(name string, register func(*grpc.Server)) *grpc.ClientConn {
		socket := filepath.Join(root, name)
		stop, err := listen(socket, register)
		must(t, err)
		connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		must(t, err)
		t.Cleanup(func() { connection.Close(); stop() })
		return connection
	}
	ctx := context.Background()

	registered := dial("r.sock", func(s *grpc.Server) { registration.RegisterRegistrationServer(s, registrar{socket: "/the/socket"}) })
	info, err := registration.NewRegistrationClient(registered).GetInfo(ctx, &registration.InfoRequest{})
	must(t, err)
	if info.Type != "CSIPlugin" || info.Name != driverName || info.Endpoint != "/the/socket" || strings.Join(info.SupportedVersions, " ") != "1.0.0" {
		t.Errorf("the registration: %v", info)
	}

	connection := dial("csi.sock", func(s *grpc.Server) {
		csi.RegisterIdentityServer(s, n)
		csi.RegisterNodeServer(s, n)
	})
	client := csi.NewNodeClient(connection)
	if info, err := client.NodeGetInfo(ctx, &csi.NodeGetInfoRequest{}); err != nil || info.NodeId != "node-1" {
		t.Errorf("the node: %v, %v", info, err)
	}
	target := filepath.Join(root, "pod", "mount")
	publish := func(change func(*csi.NodePublishVolumeRequest)) error {
		request := &csi.NodePublishVolumeRequest{
			VolumeId: "csi-1", TargetPath: target, Readonly: true, VolumeCapability: &csi.VolumeCapability{},
			VolumeContext: map[string]string{"secretProviderClass": "pin", isEphemeral: "true", ofPod: "baker-one-x", ofNamespace: "bakers", ofAccount: "baker-one-signer"},
		}
		change(request)
		_, err := client.NodePublishVolume(ctx, request)
		return err
	}
	asIs := func(*csi.NodePublishVolumeRequest) {}
	refused := func(what, why string, change func(*csi.NodePublishVolumeRequest)) {
		t.Helper()
		if err := publish(change); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: wanted %q: %v", what, why, err)
		}
		if _, err := os.Stat(target); err == nil {
			t.Errorf("%s: and mounted", what)
		}
	}
	refused("writable", "Readonly is not true", func(r *csi.NodePublishVolumeRequest) { r.Readonly = false })
	refused("a persistent volume", "only inline", func(r *csi.NodePublishVolumeRequest) { delete(r.VolumeContext, isEphemeral) })
	refused("no class", "secretProviderClass is not set", func(r *csi.NodePublishVolumeRequest) { delete(r.VolumeContext, "secretProviderClass") })
	refused("no such class", `failed to get secretproviderclass bakers/pin, error: secretproviderclasses.secrets-store.csi.x-k8s.io "pin" not found`, asIs)

	const objects = "- {objectName: prod/baker-one-pin, objectType: secretsmanager, objectAlias: pin}\n- {objectName: prod/other, objectType: secretsmanager}\n"
	cluster.classes["pin"] = map[string]string{"objects": objects}
	refused("no role", "An IAM role must be associated with service account baker-one-signer (namespace: bakers)", asIs)
	cluster.classes["pin"]["usePodIdentity"] = "true"
	cluster.refusal = "only the kubelet"
	refused("no token", "only the kubelet", asIs)
	cluster.refusal = ""
	refused("no secret", "Failed to fetch secret from all regions: prod/baker-one-pin", asIs)

	secret := func(name, text string) { must(t, os.WriteFile(filepath.Join(secrets, name), []byte(text), 0o600)) }
	secret("baker-one-pin", "user:old")
	secret("other", "x")
	for range 2 { // the kubelet may ask twice
		if err := publish(asIs); err != nil {
			t.Fatal(err)
		}
	}
	if cluster.audience != "pods.eks.amazonaws.com" || cluster.bound != "baker-one-x" || mounts[target] != 1 {
		t.Errorf("token for %q, bound to %q; mounted %d times", cluster.audience, cluster.bound, mounts[target])
	}
	read := func(name, want string) {
		t.Helper()
		if text, err := os.ReadFile(filepath.Join(target, name)); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	read("pin", "user:old")
	read("prod_other", "x")
	secret("baker-one-pin", "user:new")
	n.rotate()
	read("pin", "user:new")
	delete(cluster.classes, "pin")
	n.rotate()
	read("pin", "user:new")
	if entries, err := os.ReadDir(target); err != nil || len(entries) != 4 { // two links, ..data, the directory of now
		t.Errorf("%v, %v", entries, err)
	}

	unpublish := &csi.NodeUnpublishVolumeRequest{VolumeId: "csi-1", TargetPath: target}
	for range 2 {
		_, err := client.NodeUnpublishVolume(ctx, unpublish)
		must(t, err)
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("the directory is still there")
	}

	// By IRSA, and what would be outside of the volume.
	cluster.account = map[string]string{"eks.amazonaws.com/role-arn": "arn"}
	cluster.classes["pin"] = map[string]string{"objects": "- {objectName: other, objectType: secretsmanager, objectAlias: ../x}"}
	refused("a file outside", "outside of the volume", asIs)
	if cluster.audience != "sts.amazonaws.com" || cluster.bound != "" {
		t.Errorf("token for %q, bound to %q", cluster.audience, cluster.bound)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
