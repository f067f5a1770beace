// csi-driver: a stand-in for the Secrets Store CSI driver with AWS' provider, for the tests. The kubelet sees a CSI driver like any other:
// it is registered by the kubelet's plugin directory, and takes inline volumes only, which must be read-only and name a SecretProviderClass.
// The driver reads the SecretProviderClass from the API server, and the secrets from files of a directory that stands for AWS Secrets Manager.
//
// It differs from the real one in this: driver, registrar and provider are one program, and nothing is synchronised to Secrets.
//
// Here: the command line. What a mount is: node.go. What the provider does: provider.go. How files are replaced: files.go.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const driverName = "secrets-store.csi.k8s.io"

func main() {
	root := flag.String("kubelet", "/var/lib/kubelet", "the kubelet's root directory")
	secrets := flag.String("secrets", "", "the directory with the secrets, a file each, in the place of AWS Secrets Manager")
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server, as somebody who may impersonate the provider")
	account := flag.String("account", "kube-system:csi-secrets-store-provider-aws", "the provider's ServiceAccount, NAMESPACE:NAME")
	poll := flag.Duration("rotation-poll-interval", time.Second, "how often mounted secrets are read again")
	flag.Parse()
	if err := serve(*root, *secrets, *kubeconfig, *account, *poll); err != nil {
		fmt.Fprintln(os.Stderr, "csi-driver:", err)
		os.Exit(1)
	}
}

// serve ends when standard input does: with whoever has started the driver.
func serve(root, secrets, kubeconfig, account string, poll time.Duration) error {
	api, err := newAPI(kubeconfig, "system:serviceaccount:"+account)
	if err != nil {
		return err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	n := newNode(hostname, &provider{api: api, secrets: secrets})
	n.mount = func(directory string) error {
		return syscall.Mount("tmpfs", directory, "tmpfs", syscall.MS_NODEV|syscall.MS_NOSUID|syscall.MS_NOEXEC, "")
	}
	n.unmount = func(directory string) error { return syscall.Unmount(directory, syscall.MNT_DETACH) }
	socket := filepath.Join(root, "plugins", driverName, "csi.sock")
	stop, err := listen(socket, func(server *grpc.Server) {
		csi.RegisterIdentityServer(server, n)
		csi.RegisterNodeServer(server, n)
	})
	if err != nil {
		return err
	}
	defer stop()
	// The kubelet finds this socket, and asks it where the driver is.
	unregister, err := listen(filepath.Join(root, "plugins_registry", driverName+"-reg.sock"), func(server *grpc.Server) {
		registration.RegisterRegistrationServer(server, registrar{socket: socket})
	})
	if err != nil {
		return err
	}
	defer unregister()
	go func() {
		for range time.Tick(poll) {
			n.rotate()
		}
	}()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func listen(socket string, register func(*grpc.Server)) (stop func(), err error) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o750); err != nil {
		return nil, err
	}
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer()
	register(server)
	go func() {
		if err := server.Serve(listener); err != nil && !strings.Contains(err.Error(), "closed") {
			fmt.Fprintf(os.Stderr, "csi-driver: %s: %v\n", socket, err)
		}
	}()
	return server.Stop, nil // which removes the socket
}
