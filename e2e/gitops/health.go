// Package gitops tests what docs/gitops.md says of Argo CD, Flux and Kustomize. Other packages use this file: they have TezosSigners of a
// real API server, in states that no file shows.
//
// This file: deploy/argocd/health.lua, run by the interpreter that Argo CD has.
package gitops

import (
	"fmt"
	"os"

	lua "github.com/yuin/gopher-lua"
)

// Health is what the script says of an object, its status and its message.
func Health(script string, object map[string]any) (status, message string, err error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	// As Argo CD does: what a script may use without being given more.
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return "", "", err
		}
	}
	text, err := os.ReadFile(script)
	if err != nil {
		return "", "", err
	}
	state.SetGlobal("obj", valueOf(state, object))
	if err := state.DoString(string(text)); err != nil {
		return "", "", err
	}
	health, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		return "", "", fmt.Errorf("%s returns %s, not a table", script, state.Get(-1).Type())
	}
	return health.RawGetString("status").String(), health.RawGetString("message").String(), nil
}

func valueOf(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case string:
		return lua.LString(value)
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(valueOf(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for name, field := range value {
			table.RawSetString(name, valueOf(state, field))
		}
		return table
	}
	return lua.LNil
}
