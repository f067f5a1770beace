// Controlplane runs an etcd and an API server of one test's own in a directory, for tests that are not Go programs:
//
//	controlplane CHECKOUT DIRECTORY
//
// It prints the path of a kubeconfig when the API server is ready. Then each line of its input is a command, answered by a line
// when it is done: `back-up` copies what etcd has, `restore` puts the copy back, both as etcd's documentation asks. It ends, and
// everything with it, at the end of its input.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"signer.tezos.io/e2e/controlplane"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: controlplane CHECKOUT DIRECTORY")
	}
	ctx := context.Background()
	plane, err := controlplane.Start(ctx, os.Args[1], os.Args[2], 1)
	if plane != nil {
		defer plane.Close()
	}
	if err != nil {
		return err
	}
	fmt.Println(plane.Kubeconfig())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch command := lines.Text(); command {
		case "back-up":
			err = plane.BackUp(ctx)
		case "restore":
			err = plane.Restore(ctx)
		default:
			err = fmt.Errorf("no such command: %q", command)
		}
		if err != nil {
			return err
		}
		fmt.Println("done")
	}
	return nil
}
