// The command lines of octez-client and octez-baker that are used here, as Tezos_clic
// reads them: options of the program before the command, options of the command behind
// its words, each once but for --extra-node. From src/lib_client_base_unix/client_config.ml and
// src/lib_agnostic_baker/{commands,configuration}.ml.

package main

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

type option struct {
	long, short string
	check       func(string) error // nil: it takes no value
	repeated    bool
}

// values are the options that are given, each with its values.
type values map[string][]string

func (v values) has(option string) bool { _, given := v[option]; return given }

// of is the value of an option that is given at most once.
func (v values) of(option string) string { return strings.Join(v[option], "") }

var programOptions = []option{{"--base-dir", "-d", anything, false}, {"--endpoint", "-E", isEndpoint, false}}

var importOptions = []option{{"--force", "-f", nil, false}}

var runOptions = []option{
	{"--liquidity-baking-toggle-vote", "", isVote, false},
	{"--dal-node", "", isURL, false},
	{"--without-dal", "", nil, false},
	{"--extra-node", "", isEndpoint, true},
	{"--remote-calls-timeout", "", isSeconds, false},
	{"--pre-emptive-forge-time", "", isSeconds, false},
	{"--keep-alive", "-K", nil, false},
	{"--votefile", "-V", anything, false},
	{"--pidfile", "-P", anything, false},
	{"--record-state", "", nil, false},
}

// parseOptions removes the options from args, wherever they stand.
func parseOptions(args []string, known []option) (rest []string, given values, err error) {
	given = values{}
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			rest = append(rest, args[i])
			continue
		}
		at := slices.IndexFunc(known, func(o option) bool { return args[i] == o.long || (o.short != "" && args[i] == o.short) })
		if at < 0 {
			return nil, nil, fmt.Errorf("%w: unexpected option %s", errUsage, args[i])
		}
		o := known[at]
		if given.has(o.long) && !o.repeated {
			return nil, nil, fmt.Errorf("%w: the option %s is given twice", errUsage, o.long)
		}
		if o.check == nil {
			given[o.long] = nil
			continue
		}
		if i++; i == len(args) {
			return nil, nil, fmt.Errorf("%w: the option %s needs a value", errUsage, o.long)
		}
		if err := o.check(args[i]); err != nil {
			return nil, nil, fmt.Errorf("%w: %s: %w", errUsage, o.long, err)
		}
		given[o.long] = append(given[o.long], args[i])
	}
	return rest, given, nil
}

type global struct{ baseDir, endpoint string }

// parseGlobalOptions reads the options before the command.
func parseGlobalOptions(args []string) (g global, rest []string, err error) {
	at := 0
	for at+1 < len(args) && strings.HasPrefix(args[at], "-") {
		at += 2 // each has a value
	}
	_, given, err := parseOptions(args[:at], programOptions)
	if err != nil {
		return g, nil, err
	}
	g = global{given.of("--base-dir"), given.of("--endpoint")}
	if g.baseDir == "" || g.endpoint == "" {
		return g, nil, fmt.Errorf("%w: this stand-in needs --base-dir and --endpoint", errUsage)
	}
	return g, args[at:], nil
}

type importCommand struct {
	global     global
	alias, uri string
	force      bool
}

func parseImport(args []string) (c importCommand, err error) {
	var rest []string
	if c.global, rest, err = parseGlobalOptions(args); err != nil {
		return c, err
	}
	words, given, err := parseOptions(rest, importOptions)
	if err != nil {
		return c, err
	}
	if len(words) != 5 || !slices.Equal(words[:3], []string{"import", "secret", "key"}) {
		return c, fmt.Errorf("%w: %v", errUsage, words)
	}
	c.alias, c.uri = words[3], words[4]
	c.force = given.has("--force")
	return c, isURL(c.uri)
}

type runCommand struct {
	global             global
	sources            []string
	extraNodes         []string
	remoteCallsTimeout time.Duration
}

func parseRun(args []string) (c runCommand, err error) {
	var rest []string
	if c.global, rest, err = parseGlobalOptions(args); err != nil {
		return c, err
	}
	words, given, err := parseOptions(rest, runOptions)
	if err != nil {
		return c, err
	}
	if len(words) < 3 || !slices.Equal(words[:2], []string{"run", "remotely"}) {
		return c, fmt.Errorf("%w: %v", errUsage, words)
	}
	c.sources = words[2:]
	c.extraNodes = given["--extra-node"]
	if !given.has("--liquidity-baking-toggle-vote") {
		return c, fmt.Errorf("%w: --liquidity-baking-toggle-vote is mandatory", errUsage)
	}
	if given.has("--dal-node") == given.has("--without-dal") {
		return c, fmt.Errorf("%w: one of --dal-node and --without-dal must be given", errUsage)
	}
	seconds, _ := strconv.ParseFloat(given.of("--remote-calls-timeout"), 64)
	if seconds == 0 {
		seconds = 60 // Octez: none
	}
	c.remoteCallsTimeout = time.Duration(seconds * float64(time.Second))
	return c, nil
}

func anything(string) error { return nil }

func isURL(text string) error {
	parsed, err := url.Parse(text)
	if err == nil && (parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https")) {
		err = fmt.Errorf("%q is no URL", text)
	}
	return err
}

// isEndpoint is Client_config.endpoint_parameter.
func isEndpoint(text string) error {
	if err := isURL(text); err != nil {
		return err
	}
	if strings.ContainsAny(text, "?#") {
		return fmt.Errorf("%q has a query or a fragment", text)
	}
	return nil
}

func isVote(text string) error {
	if !slices.Contains([]string{"on", "off", "pass"}, text) {
		return fmt.Errorf("unexpected vote: %s", text)
	}
	return nil
}

func isSeconds(text string) error {
	_, err := strconv.ParseFloat(text, 64)
	return err
}
