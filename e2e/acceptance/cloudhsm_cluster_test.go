package acceptance

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"signer.tezos.io/e2e/fixture"
	"signer.tezos.io/e2e/kubectl"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/payload"
)

// spec.hsm.cloudHsm on a real kubelet: the client comes from an image into the pod, with its configuration and the
// customer's certificate, under a read-only root file system, and the first signature is made with it. In the place of
// AWS's library is SoftHSM2's, in the place of AWS's configure-pkcs11 a script that notes what it was called with.
func TestTheCloudHSMClientComesIntoThePod(t *testing.T) {
	t.Parallel()
	client, signer := cloudHSMImages(t)
	if err := suite.Cluster.Apply(t.Context(), `
apiVersion: v1
kind: ConfigMap
metadata: {name: cloudhsm-ca, namespace: `+namespace+`, labels: {tezos-signer-e2e/run: "`+suite.Run+`"}}
data: {customerCA.crt: the customer's certificate}
`); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		fields map[string]any
		config string // the first field of the client's configuration, as the signer sees the file
	}{
		"hsm-file":      {map[string]any{"clientImage": client}, "clusters"},
		"hsm-configure": {map[string]any{"clientImage": client, "retryMode": "none", "disableKeyAvailabilityCheck": true}, "configured"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSigner(t, name, octezclient.P256)
			applyCloudHSM(t, s, signer, c.fields)
			if err := suite.Cluster.AwaitReady(t.Context(), namespace, s.Name, readyTimeout, func(text string) { t.Log(text) }); err != nil {
				t.Fatal(err)
			}
			pod, err := suite.Cluster.AwaitPod(t.Context(), namespace, s.Name, "", readyTimeout)
			if err != nil {
				t.Fatal(err)
			}
			vote, err := payload.New("attestation", firstLevel, 0)
			if err != nil {
				t.Fatal(err)
			}
			baker := octezclient.NewClient(forward(t, pod.Metadata.Name))
			defer baker.Close()
			if _, err := baker.Sign(t.Context(), s.Keys[0].Parsed(), vote); err != nil {
				t.Fatal(err)
			}
			// The image has no shell: the signer itself is shown the files, takes neither for its own configuration, and
			// says what it found.
			for file, found := range map[string]string{
				"/opt/cloudhsm/etc/cloudhsm-pkcs11.cfg": "`" + c.config + "`",
				"/run/secrets/cloudhsm/customerCA.crt":  "the customer's certificate",
			} {
				if output := readFileInSigner(t, pod.Metadata.Name, file); !strings.Contains(output, found) {
					t.Errorf("%s: wanted %s in: %s", file, found, output)
				}
			}
			if name == "hsm-configure" {
				log, err := suite.Cluster.Run(t.Context(), "", "logs", pod.Metadata.Name, "-n", namespace, "-c", "signer-cloudhsm-configure")
				want := "-a 10.0.1.6 hsm.example --hsm-ca-cert /run/secrets/cloudhsm/customerCA.crt --log-type term --log-level info" +
					" --disable-key-availability-check --enable-validate-key-at-init --default-retry-mode off\n"
				if err != nil || log != want {
					t.Errorf("AWS's program was called with %q: %v", log, err)
				}
			}
		})
	}
	t.Run("hsm-no-image", func(t *testing.T) {
		t.Parallel()
		s := newSigner(t, "hsm-no-image", octezclient.P256)
		applyCloudHSM(t, s, signer, map[string]any{"clientImage": "tezos-signer.local/no-such-client:1"})
		complaint := awaitConditionNaming(t, s.Name, "no-such-client:1 of the CloudHSM client cannot be pulled")
		if !strings.Contains(complaint, "of the CloudHSM client cannot be pulled") {
			t.Errorf("no condition says that the client's image is missing: %s", complaint)
		}
	})
}

// applyCloudHSM applies the TezosSigner with spec.hsm.cloudHsm.
func applyCloudHSM(t *testing.T, s *fixture.Signer, image string, fields map[string]any) {
	t.Helper()
	manifest, err := suite.Manifest(s)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := yaml.Unmarshal([]byte(manifest), &object); err != nil {
		t.Fatal(err)
	}
	spec := object["spec"].(map[string]any)
	cloudHSM := map[string]any{
		"addresses":  []string{"10.0.1.6", "hsm.example"},
		"customerCa": map[string]any{"configMap": "cloudhsm-ca"},
		"token":      suite.Token.Label,
		"pin":        spec["hsm"].(map[string]any)["pkcs11"].(map[string]any)["pin"],
	}
	for name, value := range fields {
		cloudHSM[name] = value
	}
	spec["hsm"] = map[string]any{"cloudHsm": cloudHSM}
	spec["image"] = image
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	if err := suite.Cluster.Apply(t.Context(), string(text)); err != nil {
		t.Fatal(err)
	}
}

// readFileInSigner is what the signer's program says of a file in its container.
func readFileInSigner(t *testing.T, pod, file string) string {
	t.Helper()
	_, err := suite.Cluster.Run(t.Context(), "", "exec", pod, "-n", namespace, "-c", "signer", "--", "/usr/bin/tezos-signer", "check", "--config", file)
	var failed *kubectl.CommandError
	if !errors.As(err, &failed) {
		t.Fatalf("%s was taken for a configuration of the signer: %v", file, err)
	}
	return failed.Stderr
}

// cloudHSMImages makes two images and gives them to the cluster: the client, with the library in AWS's place and the
// token in it; and a signer that knows where that token is, as it would know AWS's cluster from the configuration.
func cloudHSMImages(t *testing.T) (client, signer string) {
	t.Helper()
	// The program that builds images takes the checkout that it is in.
	checkout := t.TempDir()
	write := func(path string, content []byte, mode os.FileMode) {
		t.Helper()
		path = filepath.Join(checkout, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
	}
	take := func(path, from string) {
		t.Helper()
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(path, content, 0o755)
	}
	take("target/tools/images", filepath.Join(suite.Checkout, "target/tools/images"))
	take("tezos-signer", filepath.Join(suite.Checkout, "target/release/tezos-signer"))
	take("cp", "/usr/bin/cp")
	take("sh", "/usr/bin/dash")
	take("client/lib/libcloudhsm_pkcs11.so", "/usr/lib/softhsm/libsofthsm2.so")
	files, err := suite.Token.PackFor("/opt/cloudhsm/lib")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		write(filepath.Join("client/lib", file.Path), file.Content, 0o644)
	}
	write("client/etc/cloudhsm-pkcs11.cfg", []byte("package: default\n"), 0o644)
	write("client/bin/configure-pkcs11", []byte(`#!/bin/sh
set -eu
test -s /run/secrets/cloudhsm/customerCA.crt
read -r before < /opt/cloudhsm/etc/cloudhsm-pkcs11.cfg
test "$before" = "package: default"
echo "$*"
echo "configured: true" > /opt/cloudhsm/etc/cloudhsm-pkcs11.cfg
`), 0o755)
	write("images/cloudhsm-client.yaml", []byte("name: cloudhsm-client\nprogram: cp\nfiles: {/opt/cloudhsm: client, /usr/bin/sh: sh}\n"), 0o644)
	write("images/cloudhsm-signer.yaml", []byte("name: cloudhsm-signer\nprogram: tezos-signer\n"+
		"libraries: [/usr/lib/softhsm/libsofthsm2.so]\nfiles: {/etc/softhsm/softhsm2.conf: client/lib/softhsm2.conf}\n"), 0o644)

	names := []string{"cloudhsm-client", "cloudhsm-signer"}
	run := func(program string, arguments ...string) {
		t.Helper()
		if output, err := exec.CommandContext(t.Context(), program, arguments...).CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v: %s", program, arguments, err, output)
		}
	}
	run(filepath.Join(checkout, "target/tools/images"), append([]string{"build"}, names...)...)
	references := map[string]string{}
	for _, name := range names {
		run(filepath.Join(suite.Checkout, "target/tools/cluster"), "import", filepath.Join(checkout, "target/images", name+".tar"))
		if references[name], err = fixture.Image(checkout, name); err != nil {
			t.Fatal(err)
		}
	}
	return references["cloudhsm-client"], references["cloudhsm-signer"]
}
