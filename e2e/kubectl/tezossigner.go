// A TezosSigner and its pods, as far as a client reads them.

package kubectl

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// TezosSigner is what is read of one.
type TezosSigner struct {
	Metadata struct {
		Name            string `json:"name"`
		Generation      int64  `json:"generation"`
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Status struct {
		ObservedGeneration int64       `json:"observedGeneration"`
		Conditions         []Condition `json:"conditions"`
		Holder             string      `json:"holder"`
		Keys               []KeyStatus `json:"keys"`
	} `json:"status"`
}

// KeyStatus is what a status says of a key and its record.
type KeyStatus struct {
	PublicKeyHash string `json:"publicKeyHash"`
	Record        string `json:"record"`
	Suspended     bool   `json:"suspended"`
	Holder        struct {
		Identity string    `json:"identity"`
		Pod      string    `json:"pod"`
		Since    time.Time `json:"since"`
		Term     int       `json:"term"`
	} `json:"holder"`
	Rows struct {
		Block, Preattestation, Attestation *struct{ Level, Round int32 }
		ReadAt                             time.Time `json:"readAt"`
	} `json:"rows"`
}

// Condition is one sentence of a status.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Condition returns the condition of that type; an empty one if there is none.
func (s *TezosSigner) Condition(kind string) Condition {
	for _, c := range s.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return Condition{Type: kind}
}

// Messages are those of the conditions that are not well.
func (s *TezosSigner) Messages() []string {
	var sentences []string
	for _, c := range s.Status.Conditions {
		if c.Status != "True" {
			sentences = append(sentences, fmt.Sprintf("%s: %s: %s", c.Type, c.Reason, c.Message))
		}
	}
	if len(sentences) == 0 {
		return []string{"no conditions yet"}
	}
	return sentences
}

// AwaitReady waits until the TezosSigner is Ready, and hands every change of its
// sentences to say.
func (c *Cluster) AwaitReady(ctx context.Context, namespace, name string, timeout time.Duration, say func(string)) error {
	messages := ""
	err := Await(ctx, timeout, func() (bool, error) {
		var signer TezosSigner
		if err := c.Get(ctx, &signer, "tezossigner", name, "-n", namespace); err != nil {
			return false, err
		}
		if signer.Condition("Ready").Status == "True" && signer.Status.ObservedGeneration == signer.Metadata.Generation {
			return true, nil
		}
		if now := strings.Join(signer.Messages(), "\n"); now != messages {
			messages = now
			say(now)
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("TezosSigner %s/%s is not Ready: %w; see kubectl -n %s describe tezossigner,pod\n%s", namespace, name, err, namespace, messages)
	}
	return nil
}

// Pod is what is read of a signer's pod.
type Pod struct {
	Metadata struct {
		Name              string            `json:"name"`
		UID               string            `json:"uid"`
		Labels            map[string]string `json:"labels"`
		DeletionTimestamp string            `json:"deletionTimestamp"`
	} `json:"metadata"`
	Spec struct {
		ServiceAccountName string `json:"serviceAccountName"`
		NodeName           string `json:"nodeName"`
	} `json:"spec"`
	Status struct {
		Phase      string      `json:"phase"`
		PodIP      string      `json:"podIP"`
		Conditions []Condition `json:"conditions"`
	} `json:"status"`
}

// Ready reports whether the pod is, and is not on its way out.
func (p *Pod) Ready() bool {
	return p.Metadata.DeletionTimestamp == "" && slices.ContainsFunc(p.Status.Conditions, func(c Condition) bool {
		return c.Type == "Ready" && c.Status == "True"
	})
}

// Pods lists the pods of a TezosSigner.
func (c *Cluster) Pods(ctx context.Context, namespace, name string) ([]Pod, error) {
	var list struct {
		Items []Pod `json:"items"`
	}
	err := c.Get(ctx, &list, "pods", "-n", namespace, "-l", "app.kubernetes.io/instance="+name)
	return list.Items, err
}

// AwaitPod waits for a ready pod of the TezosSigner, another one than that with
// the UID not.
func (c *Cluster) AwaitPod(ctx context.Context, namespace, name, not string, timeout time.Duration) (*Pod, error) {
	var found *Pod
	err := Await(ctx, timeout, func() (bool, error) {
		pods, err := c.Pods(ctx, namespace, name)
		for _, pod := range pods {
			if pod.Ready() && pod.Metadata.UID != not {
				found = &pod
			}
		}
		return found != nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("no pod of %s/%s is ready: %w; see kubectl -n %s describe pod", namespace, name, err, namespace)
	}
	return found, nil
}

// Await asks again and again until the answer is yes, or an error.
func Await(ctx context.Context, timeout time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not within %s", timeout))
	defer cancel()
	for {
		if yes, err := done(); yes || err != nil {
			return err
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
