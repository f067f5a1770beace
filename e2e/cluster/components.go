// What runs in the node and with which settings: the upstream components' flags and files, the order in which they
// start, and how each one tells that it is ready. Every setting that is not obvious says why it is there.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"
)

type component struct {
	name  string
	args  []string
	ready func(context.Context) error
}

// Those of a stage start together; the next stage begins when they are all ready.
func stages(l layout) ([][]component, error) {
	admin, err := adminClient(nodeState)
	if err != nil {
		return nil, err
	}
	return [][]component{
		{etcd(), containerd(mainMember), containerd(spareMember)},
		{apiServer(l, admin)},
		{controllerManager(l), scheduler(), kubelet(l, mainMember), kubelet(l, spareMember), kubeProxy(l)},
	}, nil
}

func kube(name string, flags ...string) []string {
	return append([]string{nodeTools + "/kube", name}, flags...)
}

func etcd() component {
	return component{"etcd", kube("etcd",
		"--name="+mainMember.name,
		"--data-dir=/var/lib/etcd",
		// Plain HTTP on the node's loopback: pods have loopbacks of their own.
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster="+mainMember.name+"=http://127.0.0.1:2380",
	), answersOK("http://127.0.0.1:2379/readyz")}
}

func containerd(m member) component {
	return component{m.containerd(), []string{nodeTools + "/containerd", "--config=" + nodeState + "/config/" + m.containerd() + ".toml"},
		func(context.Context) error {
			connection, err := net.Dial("unix", m.socket())
			if err == nil {
				connection.Close()
			}
			return err
		}}
}

func containerdConfig(pauseImage string, m member) string {
	return fmt.Sprintf(`version = 3
root = "/var/lib/%[1]s"
state = "/run/%[1]s"

[grpc]
address = %[2]q

# Its socket has the same path for all.
[plugins.'io.containerd.nri.v1.nri']
disable = true

[plugins.'io.containerd.cri.v1.images'.pinned_images]
# Imported at start: no registry is ever asked.
sandbox = %[3]q

[plugins.'io.containerd.cri.v1.runtime']
# Containers cannot get a lower score than containerd where CAP_SYS_RESOURCE is missing.
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "%[4]s/config/cni"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "/usr/sbin/runc"
SystemdCgroup = false
`, m.containerd(), m.socket(), pauseImage, nodeState)
}

// Each pod has a point-to-point link to the node, not a bridge: whatever a pod sends passes the node's routing, where
// kube-proxy and the tests' rules see it.
func cniConfig(l layout) string {
	return fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [{
    "type": "ptp",
    "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}
  }]
}
`, l.podCIDR())
}

func apiServer(l layout, admin *http.Client) component {
	return component{"kube-apiserver", kube("kube-apiserver",
		"--etcd-servers=http://127.0.0.1:2379",
		"--bind-address="+l.nodeIP(), "--advertise-address="+l.nodeIP(), "--secure-port=6443",
		"--service-cluster-ip-range="+l.serviceCIDR(),
		"--tls-cert-file="+pki("kube-apiserver.crt"), "--tls-private-key-file="+pki("kube-apiserver.key"),
		"--client-ca-file="+pki("ca.crt"),
		"--kubelet-client-certificate="+pki("kube-apiserver.crt"), "--kubelet-client-key="+pki("kube-apiserver.key"),
		"--kubelet-certificate-authority="+pki("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP", // the node's name is in no DNS
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+pki("service-accounts.key"), "--service-account-signing-key-file="+pki("service-accounts.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--audit-policy-file="+nodeState+"/config/audit.yaml",
		"--audit-log-path="+nodeState+"/logs/audit.log", "--audit-log-maxsize=200", "--audit-log-maxbackup=2",
		"--profiling=false",
	), answersOKTo(admin, l.apiServer()+"/readyz")}
}

// One line for each request, when it is answered: tests count them.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

func controllerManager(l layout) component {
	return component{"kube-controller-manager", kube("kube-controller-manager",
		"--kubeconfig="+kubeconfigOf("kube-controller-manager"),
		"--leader-elect=false",
		"--use-service-account-credentials",
		"--service-account-private-key-file="+pki("service-accounts.key"),
		"--root-ca-file="+pki("ca.crt"),
		"--cluster-cidr="+l.podCIDR(),
		"--bind-address=127.0.0.1",
		"--profiling=false",
	), answersOK("https://127.0.0.1:10257/healthz")}
}

func scheduler() component {
	return component{"kube-scheduler", kube("kube-scheduler",
		"--kubeconfig="+kubeconfigOf("kube-scheduler"),
		"--leader-elect=false",
		"--bind-address=127.0.0.1",
		"--profiling=false",
	), answersOK("https://127.0.0.1:10259/healthz")}
}

func kubelet(l layout, m member) component {
	return component{m.kubelet(), kube("kubelet",
		"--config="+nodeState+"/config/"+m.kubelet()+".json",
		"--kubeconfig="+kubeconfigOf(m.kubelet()),
		"--root-dir=/var/lib/"+m.kubelet(),
		"--hostname-override="+m.name,
		"--register-with-taints="+m.taints(),
		"--node-ip="+l.nodeIP(),
	), answersOK(m.health())}
}

func kubeletConfig(l layout, m member) string {
	type object = map[string]any
	text, err := json.MarshalIndent(object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"address":    l.nodeIP(), "port": m.kubeletPort, "healthzPort": m.healthPort,
		"authentication": object{
			"anonymous": object{"enabled": false},
			"webhook":   object{"enabled": true},
			"x509":      object{"clientCAFile": pki("ca.crt")},
		},
		"authorization":     object{"mode": "Webhook"},
		"tlsCertFile":       pki(m.kubelet() + ".crt"),
		"tlsPrivateKeyFile": pki(m.kubelet() + ".key"),

		"containerRuntimeEndpoint": "unix://" + m.socket(),
		"podLogsDir":               "/var/log/pods" + m.suffix, // what is not of its own pods it deletes
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               l.cgroup(m),
		"failCgroupV1":             false, // it refuses to start on such a machine otherwise
		"failSwapOn":               false,
		"oomScoreAdj":              0,
		"makeIPTablesUtilChains":   false, // nftables only
		"volumePluginDir":          "/var/lib/" + m.kubelet() + "/volume-plugins",
		// There is no DNS: lookups are refused at once, here as in what pods inherit. Without an address each pod gets a warning.
		"resolvConf": nodeState + "/config/resolv.conf",
		"clusterDNS": []string{l.nodeIP()}, "clusterDomain": "cluster.local",

		// A full disk of the developer's machine is no reason to throw pods or images out.
		"evictionHard": object{
			"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%",
		},
		"imageGCHighThresholdPercent": 100,

		// Tests that kill containers wait a second for the next one, not minutes.
		"crashLoopBackOff": object{"maxContainerRestartPeriod": "1s"},
	}, "", "  ")
	if err != nil {
		panic(err) // strings, numbers and booleans only
	}
	return string(text)
}

func kubeProxy(l layout) component {
	return component{"kube-proxy", kube("kube-proxy",
		"--kubeconfig="+kubeconfigOf("kube-proxy"),
		"--hostname-override="+mainMember.name,
		"--proxy-mode=nftables",
		"--cluster-cidr="+l.podCIDR(),
		"--metrics-bind-address=127.0.0.1:10249", "--healthz-bind-address=127.0.0.1:10256",
		"--oom-score-adj=0",
		// These limits are the whole machine's and cannot be set from a network namespace.
		"--conntrack-max-per-core=0", "--conntrack-min=0",
	), answersOK("http://127.0.0.1:10256/healthz")}
}

func writeConfiguration(l layout, pauseImage string) error {
	files := map[string]string{"cni/10-pods.conflist": cniConfig(l), "audit.yaml": auditPolicy, "resolv.conf": ""}
	for _, m := range members {
		files[m.containerd()+".toml"], files[m.kubelet()+".json"] = containerdConfig(pauseImage, m), kubeletConfig(l, m)
	}
	for name, text := range files {
		if err := writeFile(filepath.Join(nodeState, "config", name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func pki(name string) string          { return filepath.Join(nodeState, "pki", name) }
func kubeconfigOf(name string) string { return filepath.Join(nodeState, "kubeconfigs", name) }

// answersOK is for the components' own health ports on the node's loopback, whose certificates are self-signed.
func answersOK(url string) func(context.Context) error {
	return answersOKTo(&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}, url)
}

func answersOKTo(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := get(ctx, client, url)
		return err
	}
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.300s", url, response.Status, body)
	}
	return body, err
}
