// docs/installing.md, by its own commands.

package acceptance

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"signer.tezos.io/e2e/octezclient"
)

// firstSignatureAsDocumented goes from a cluster without the chart to a signature.
func firstSignatureAsDocumented(t *testing.T) {
	t.Helper()
	bash(t, suite.Checkout, withTestToken(documentedCommands(t, "2. The chart", 0)))

	bakers := *suite
	bakers.Namespace = documentedNamespace
	t.Cleanup(func() {
		// With its TezosSigner, by the operator.
		if _, err := suite.Cluster.Run(context.Background(), "", "delete", "namespace", bakers.Namespace, "--ignore-not-found", "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	signer := newSigner(t, "documented", octezclient.P256)
	signer.Name = "baker-one"
	manifest, err := bakers.Manifest(signer)
	if err != nil {
		t.Fatal(err)
	}
	pin, err := os.ReadFile(suite.Token.PinFile)
	if err != nil {
		t.Fatal(err)
	}
	reader := t.TempDir()
	for name, content := range map[string]string{
		"pin": string(pin), "customerCA.crt": "the customer's certificate",
		// The Secret of the page; the token itself is a Secret of the fixture.
		"baker-one.yaml": strings.Replace(manifest, "pin: {secret: pin-"+suite.Run, "pin: {secret: hsm-pin", 1),
	} {
		if err := os.WriteFile(filepath.Join(reader, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	steps := documentedCommands(t, "3. The first signature", 0)
	create, rest, found := strings.Cut(steps, "\n")
	if !found || create != "kubectl create namespace "+documentedNamespace {
		t.Fatalf("step 3 begins with %q", create)
	}
	bash(t, reader, create)
	if err := bakers.ApplySecrets(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log(bash(t, reader, rest))

	pod, err := suite.Cluster.AwaitPod(t.Context(), bakers.Namespace, signer.Name, "", readyTimeout)
	if err != nil {
		t.Fatal(err)
	}
	url, err := suite.Cluster.PortForward(t.Context(), bakers.Namespace, pod.Metadata.Name, signingPort)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := octezclient.NewClient(url).Sign(t.Context(), signer.Keys[0].Parsed(), newBlock(t, firstLevel)); err != nil {
		t.Errorf("as documented: %v", err)
	}
}

// withTestToken has the signer with SoftHSM2 where the page has the one for CloudHSM.
func withTestToken(commands string) string {
	return strings.ReplaceAll(commands, "target/images/tezos-signer.ref", "target/images/tezos-signer-softhsm.ref")
}

// documentedCommands is a block of commands in docs/installing.md: the how-manieth below the heading that ends so.
func documentedCommands(t *testing.T, heading string, index int) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(suite.Checkout, "docs/installing.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := strings.Split(section, "```sh\n")
	if !found || len(blocks) < index+2 {
		t.Fatalf("docs/installing.md has no block %d below %q", index, heading)
	}
	block, _, _ := strings.Cut(blocks[index+1], "```")
	return block
}

// bash runs documented commands as a reader would, in that directory.
func bash(t *testing.T, directory, script string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	command.Dir = directory
	command.Env = append(os.Environ(), "USER=somebody", "PATH="+filepath.Join(suite.Checkout, "target/tools")+":"+os.Getenv("PATH"),
		"KUBECONFIG="+filepath.Join(suite.Checkout, "target/cluster/kubeconfig"))
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, script, output)
	}
	return string(output)
}
