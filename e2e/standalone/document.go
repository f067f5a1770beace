package standalone

import (
	"regexp"
)

var shell = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// Commands are the shell blocks of a document, in their order.
func Commands(document string) []string {
	var blocks []string
	for _, match := range shell.FindAllStringSubmatch(document, -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}
