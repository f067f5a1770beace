package acceptance

import (
	"os"
	"strings"
	"testing"

	"signer.tezos.io/e2e/octezclient"
)

// The PIN is in a mounted file and nowhere else, and the baker can reach neither
// the API server nor the PIN. That the pod is there at all shows that it passes
// Pod Security "restricted", which its namespace enforces.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "secrets", octezclient.P256)
	pod := applyReady(t, s)
	pin, err := os.ReadFile(suite.Token.PinFile)
	if err != nil {
		t.Fatal(err)
	}
	password := strings.TrimPrefix(string(pin), "cu_user:")
	for _, args := range [][]string{
		{"get", "tezossigners,deployments,replicasets,pods,configmaps,events", "-n", namespace, "-o", "yaml"},
		{"describe", "tezossigner/" + s.Name, "deployment/" + s.Name, "pod/" + pod.Metadata.Name, "-n", namespace},
		{"logs", pod.Metadata.Name, "-n", namespace, "--all-containers"},
	} {
		text, err := suite.Cluster.Run(t.Context(), "", args...)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, password) {
			t.Errorf("the PIN is in the output of kubectl %v", args)
		}
	}

	var found struct {
		Spec struct {
			Volumes []struct {
				Name      string         `json:"name"`
				Projected map[string]any `json:"projected"`
				Secret    map[string]any `json:"secret"`
			} `json:"volumes"`
			Containers []struct {
				Name         string `json:"name"`
				VolumeMounts []struct {
					Name string `json:"name"`
				} `json:"volumeMounts"`
			} `json:"containers"`
		} `json:"spec"`
	}
	if err := suite.Cluster.Get(t.Context(), &found, "pod", pod.Metadata.Name, "-n", namespace); err != nil {
		t.Fatal(err)
	}
	secret := map[string]bool{}
	for _, volume := range found.Spec.Volumes {
		secret[volume.Name] = volume.Projected != nil || volume.Secret != nil
	}
	for _, container := range found.Spec.Containers {
		for _, mount := range container.VolumeMounts {
			if secret[mount.Name] {
				t.Errorf("container %s mounts %s", container.Name, mount.Name)
			}
		}
	}
}
