package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"signer.tezos.io/e2e/bench"
	"signer.tezos.io/e2e/octezclient"
	"signer.tezos.io/e2e/scenario"
	"signer.tezos.io/e2e/stats"
)

func runBench(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	var keys keyList
	flags.Var(&keys, "public-key", "p2pk… or sppk… of the key that votes")
	signer := flags.String("signer", defaultSigner, "base URL of the signer")
	metrics := flags.String("metrics", "http://127.0.0.1:9583/metrics", "the signer's metrics, for its memory")
	votes := flags.Int("votes", 1000, "how many of each to measure")
	level := flags.Int("level", scenario.InitialLevel+1, "level of the first vote: above the key's watermark")
	kubeconfig := flags.String("kubeconfig", "", "access to the bench record; - reads it from standard input")
	namespace := flags.String("namespace", "tezos-signer-records", "namespace of the bench record")
	record := flags.String("record", "", "name of the bench record: a copy of a watermark record that nobody else writes")
	module := flags.String("module", "/usr/lib/softhsm/libsofthsm2.so", "PKCS#11 module")
	token := flags.String("token", "", "label of the token")
	label := flags.String("label", "", "label of the key on the token")
	pinFile := flags.String("pin-file", "", "file with the PIN")
	output := addOutput(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if len(keys) != 1 {
		return errors.New("--public-key is needed, once")
	}

	access, err := readKubeconfig(*kubeconfig)
	if err != nil {
		return err
	}
	run := bench.Bench{Signer: octezclient.NewClient(*signer), Key: keys[0], Votes: *votes, Level: int32(*level), Progress: os.Stderr}
	defer run.Signer.Close()
	if run.Record, err = bench.OpenRecord(ctx, access, *namespace, *record); err != nil {
		return err
	}
	pin, err := os.ReadFile(*pinFile)
	if err != nil {
		return fmt.Errorf("the PIN: %w", err)
	}
	if run.Token, err = bench.OpenToken(*module, *token, *label, strings.TrimSpace(string(pin))); err != nil {
		return err
	}
	defer run.Token.Close()

	voted, put, cSigned, err := run.Run(ctx)
	if err != nil {
		return err
	}
	memory, err := residentMemory(ctx, *metrics)
	if err != nil {
		return err
	}
	result := stats.New(voted, put, cSigned, memory)
	if err := output.write(stdout, result, result.Write); err != nil {
		return err
	}
	return verdict(result.OK())
}

func readKubeconfig(path string) (*bench.Access, error) {
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(os.Stdin)
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig: %w", err)
	}
	return bench.ParseKubeconfig(text)
}

// residentMemory reads one figure of a Prometheus text page.
func residentMemory(ctx context.Context, url string) (int64, error) {
	const name = "process_resident_memory_bytes"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if text, found := strings.CutPrefix(lines.Text(), name+" "); found {
			bytes, err := strconv.ParseFloat(text, 64)
			return int64(bytes), err
		}
	}
	return 0, fmt.Errorf("%s (%s) has no %s", url, response.Status, name)
}
