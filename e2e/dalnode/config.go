// Package dalnode reads the config.json of octez-dal-node as that program does, as far as a
// baker depends on it: which fields there are, and whom the RPC server lets do what.
//
// Written anew after Octez' sources of 2026: src/lib_dal_node/configuration_file.ml (the fields),
// src/lib_rpc_http/RPC_server.ml (an entry of "acl"), src/lib_base/p2p_point.mli (an address), and
// acl.ml of resto (a filter).
package dalnode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// fields are all that Configuration_file.encoding knows. Data_encoding refuses any other.
var fields = []string{
	"data-dir", "rpc-addr", "net-addr", "public-addr", "peers", "expected-pow", "endpoint", "slots_backup_uris",
	"trust_slots_backup_uris", "metrics-addr", "history_mode", "profiles", "version", "service_name", "service_namespace",
	"telemetry_environment", "experimental_features", "fetch_trusted_setup", "verbose", "ignore_l1_config_peers",
	"disable_amplification", "banned_addrs", "batching_configuration", "publish_slots_regularly", "profiling", "acl",
}

// Config is what is read of config.json.
type Config struct {
	RPCAddr netip.AddrPort
	Version int32
	ACL     []Entry
}

// Entry is one of "acl": for which listening address, and what.
type Entry struct {
	Host string
	Port int // -1: any
	// Whitelist: nothing but Filters is allowed. Otherwise all but Filters.
	Whitelist bool
	Filters   []Filter
}

// Filter is a set of requests.
type Filter struct {
	Method string // empty: any
	Path   []string
	// Suffix: and whatever is below the path.
	Suffix bool
}

// wildcard stands for one segment of a path, whatever it is.
const wildcard = "*"

// Parse reads a config.json.
func Parse(text []byte) (*Config, error) {
	config := Config{RPCAddr: netip.MustParseAddrPort("127.0.0.1:10732")}
	object, err := objectOf(text, fields)
	if err != nil {
		return nil, err
	}
	if _, given := object["version"]; !given {
		return nil, errors.New(`"version" is missing`)
	}
	if err := json.Unmarshal(object["version"], &config.Version); err != nil {
		return nil, fmt.Errorf("version: %w", err)
	}
	if raw, given := object["rpc-addr"]; given {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, fmt.Errorf("rpc-addr: %w", err)
		}
		if config.RPCAddr, err = netip.ParseAddrPort(text); err != nil {
			return nil, fmt.Errorf("rpc-addr: %w", err)
		}
	}
	if raw, given := object["acl"]; given {
		var entries []json.RawMessage
		if err := json.Unmarshal(raw, &entries); err != nil {
			return nil, fmt.Errorf("acl: %w", err)
		}
		for i, raw := range entries {
			entry, err := parseEntry(raw)
			if err != nil {
				return nil, fmt.Errorf("acl[%d]: %w", i, err)
			}
			config.ACL = append(config.ACL, entry)
		}
	}
	return &config, nil
}

// objectOf reads one JSON object, and nothing behind it, whose every field is known and given once.
func objectOf(text []byte, known []string) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, fmt.Errorf("not an object: %v, %v", token, err)
	}
	object := map[string]json.RawMessage{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("unexpected field %q", name)
		}
		if _, twice := object[name]; twice {
			return nil, fmt.Errorf("the field %q is given twice", name)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		object[name] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return object, nil
}

// parseEntry is the union of RPC_server.Acl.policy_encoding: an address, and either list.
func parseEntry(raw []byte) (entry Entry, err error) {
	object, err := objectOf(raw, []string{"address", "whitelist", "blacklist"})
	if err != nil {
		return entry, err
	}
	list, isWhite := object["whitelist"]
	black, isBlack := object["blacklist"]
	if isWhite == isBlack {
		return entry, errors.New("exactly one of whitelist and blacklist is required")
	}
	if isBlack {
		list = black
	}
	entry.Whitelist = isWhite
	var address string
	if err := json.Unmarshal(object["address"], &address); err != nil {
		return entry, fmt.Errorf("address: %w", err)
	}
	if entry.Host, entry.Port, err = parseAddress(address); err != nil {
		return entry, fmt.Errorf("address: %w", err)
	}
	var filters []string
	if err := json.Unmarshal(list, &filters); err != nil || filters == nil {
		return entry, fmt.Errorf("a list of filters is required: %v", err)
	}
	for _, text := range filters {
		filter, err := parseFilter(text)
		if err != nil {
			return entry, fmt.Errorf("%q: %w", text, err)
		}
		entry.Filters = append(entry.Filters, filter)
	}
	return entry, nil
}

// parseAddress reads HOST, HOST:PORT, or an IPv6 address in brackets with or without a port.
func parseAddress(text string) (host string, port int, err error) {
	host, tail := text, ""
	if inBrackets, found := strings.CutPrefix(text, "["); found {
		if host, tail, found = strings.Cut(inBrackets, "]"); !found {
			return "", 0, errors.New("no closing bracket")
		}
	} else if at := strings.LastIndex(text, ":"); at >= 0 && strings.Count(text, ":") == 1 {
		host, tail = text[:at], text[at:]
	}
	if host == "" || strings.ContainsAny(host, "#/ ") {
		return "", 0, fmt.Errorf("%q is no address", text)
	}
	if tail == "" {
		return host, -1, nil
	}
	number, found := strings.CutPrefix(tail, ":")
	if port, err = strconv.Atoi(number); !found || err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("%q is no port", tail)
	}
	return host, port, nil
}

var methods = []string{"GET", "PUT", "POST", "PATCH", "DELETE"}

// parseFilter is Resto.Acl.parse: a method or none, spaces or none, and a path.
func parseFilter(text string) (filter Filter, err error) {
	rest := text
	for _, method := range methods {
		if after, found := strings.CutPrefix(text, method); found {
			filter.Method, rest = method, after
			break
		}
	}
	rest = strings.TrimLeft(rest, " ")
	if !strings.HasPrefix(rest, "/") {
		return filter, errors.New("invalid method matcher")
	}
	for segment := range strings.SplitSeq(rest, "/") {
		switch {
		case segment == "":
		case filter.Suffix:
			return filter, errors.New("double-star can only appear in suffix position")
		case segment == "**":
			filter.Suffix = true
		case segment == wildcard:
			filter.Path = append(filter.Path, wildcard)
		case strings.ContainsAny(segment, "*?&#="):
			return filter, errors.New("a special character must be percent-encoded")
		default:
			decoded, err := url.PathUnescape(segment)
			if err != nil {
				return filter, err
			}
			filter.Path = append(filter.Path, decoded)
		}
	}
	return filter, nil
}

// Allows reports whether the RPC server that listens on RPCAddr answers that request. own is false where no entry is
// about that address, so that Octez' default applies, which is not known here.
func (c *Config) Allows(method, path string) (allowed, own bool) {
	for _, entry := range c.ACL {
		host, err := netip.ParseAddr(entry.Host)
		if err != nil || host.Unmap() != c.RPCAddr.Addr().Unmap() || (entry.Port >= 0 && entry.Port != int(c.RPCAddr.Port())) {
			continue
		}
		matches := slices.ContainsFunc(entry.Filters, func(filter Filter) bool { return filter.matches(method, path) })
		return matches == entry.Whitelist, true
	}
	return false, false
}

func (f Filter) matches(method, path string) bool {
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if (f.Method != "" && f.Method != method) || len(segments) < len(f.Path) || (len(segments) > len(f.Path) && !f.Suffix) {
		return false
	}
	for i, segment := range f.Path {
		if segment != wildcard && segment != segments[i] {
			return false
		}
	}
	return true
}
