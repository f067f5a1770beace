package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWhatOctezTakes(t *testing.T) {
	run, err := parseRun(strings.Fields("--base-dir /d -E http://node:8732 run remotely a b --liquidity-baking-toggle-vote pass --remote-calls-timeout 3 -K --extra-node http://b:8732 --dal-node http://dal:1 --extra-node https://c/rpc"))
	if err != nil || !slices.Equal(run.sources, []string{"a", "b"}) || run.remoteCallsTimeout != 3*time.Second || run.global.baseDir != "/d" ||
		!slices.Equal(run.extraNodes, []string{"http://b:8732", "https://c/rpc"}) {
		t.Errorf("%+v, %v", run, err)
	}
	key, err := parseImport(strings.Fields("-d /d --endpoint http://node:8732 import secret key a http://127.0.0.1:6732/tz3 --force"))
	if err != nil || key.alias != "a" || !key.force {
		t.Errorf("%+v, %v", key, err)
	}
}

func TestWhatOctezRefuses(t *testing.T) {
	const global = "--base-dir /d --endpoint http://node:8732 "
	for _, line := range []string{
		"run remotely a --liquidity-baking-toggle-vote pass --without-dal", // the stand-in's own demand
		global + "run remotely --liquidity-baking-toggle-vote pass --without-dal",
		global + "run remotely a --without-dal",
		global + "run remotely a --liquidity-baking-toggle-vote maybe --without-dal",
		global + "run remotely a --liquidity-baking-toggle-vote pass",
		global + "run remotely a --liquidity-baking-toggle-vote pass --without-dal --dal-node http://x",
		global + "run remotely a --liquidity-baking-toggle-vote pass --without-dal --without-dal",
		global + "run remotely a --liquidity-baking-toggle-vote pass --without-dal --unknown",
		global + "run remotely a --liquidity-baking-toggle-vote pass --without-dal --endpoint http://x",
		global + "run remotely a --liquidity-baking-toggle-vote pass --without-dal --extra-node",
		global + "run remotely a --liquidity-baking-toggle-vote pass --without-dal --extra-node b:8732",
		global + "run remotely a --liquidity-baking-toggle-vote pass --without-dal --extra-node ftp://b",
		global + "run remotely a --liquidity-baking-toggle-vote pass --without-dal --extra-node http://b?x=1",
		global + "run remotely a --liquidity-baking-toggle-vote pass --without-dal --extra-node http://b#x",
		global + "--extra-node http://b run remotely a --liquidity-baking-toggle-vote pass --without-dal",
		global + "--extra-node http://b import secret key a http://127.0.0.1:6732/tz3",
		global + "run remotly a --liquidity-baking-toggle-vote pass --without-dal",
	} {
		if run, err := parseRun(strings.Fields(line)); !errors.Is(err, errUsage) {
			t.Errorf("%s: %+v, %v", line, run, err)
		}
	}
}

func TestAWallet(t *testing.T) {
	w := wallet(t.TempDir())
	if err := w.add("a", "tz3", "p2pk", "http://s/tz3", false); err != nil {
		t.Fatal(err)
	}
	if err := w.add("a", "tz2", "sppk", "http://s/tz2", false); err == nil {
		t.Error("another key has taken the name without --force")
	}
	if err := w.add("a", "tz2", "sppk", "http://s/tz2", true); err != nil {
		t.Error(err)
	}
	if uri, key, err := w.find("a"); uri != "http://s/tz2" || key != "sppk" || err != nil {
		t.Errorf("%s, %s, %v", uri, key, err)
	}
	if _, _, err := w.find("b"); err == nil {
		t.Error("there is no b")
	}
}
