// History-checker reads logs of what clients asked of signers and were answered (history.Event, one a line), and says which promises
// they break, for tests that are not Go programs:
//
//	history-checker LOG…
//
// It ends with 1 if one is broken, and with 2 if a log cannot be read.
package main

import (
	"fmt"
	"os"

	"signer.tezos.io/e2e/history"
)

func main() {
	status := 0
	for _, name := range os.Args[1:] {
		events, err := read(name)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			os.Exit(2)
		}
		verdict := history.CheckLog(events)
		fmt.Printf("%s: %+v\n", name, verdict.Counts)
		for _, sentence := range verdict.Broken {
			fmt.Printf("%s: %s\n", name, sentence)
			status = 1
		}
	}
	os.Exit(status)
}

func read(name string) ([]history.Event, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return history.Read(file)
}
