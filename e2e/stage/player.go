// octez-player, run in the container of a baker.

package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"signer.tezos.io/e2e/kubectl"
)

// Player runs octez-player by kubectl exec and reads its JSON; its progress and
// complaints go to standard error. Its exit status 1 says that the result is not
// as promised, which the result says too.
func (s *Stage) Player(ctx context.Context, pod *kubectl.Pod, stdin string, result any, args ...string) error {
	command := s.Cluster.Command(ctx, append([]string{
		"exec", "-i", "-n", s.Namespace, pod.Metadata.Name, "-c", "baker", "--", "octez-player"}, args...)...)
	var stdout bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &stdout, os.Stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1 && stdout.Len() > 0) {
		return fmt.Errorf("octez-player %s in pod %s: %w", args[0], pod.Metadata.Name, err)
	}
	if err := json.Unmarshal(stdout.Bytes(), result); err != nil {
		return fmt.Errorf("octez-player %s in pod %s printed no JSON: %w: %.200q", args[0], pod.Metadata.Name, err, stdout.String())
	}
	return nil
}
