// The schemas of the real providers, as ../schemas has them, in Terraform's types.

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// The form of `terraform providers schema -json`.
type (
	block struct {
		Attributes map[string]attribute
		Blocks     map[string]nestedBlock `json:"block_types"`
	}
	attribute struct {
		Type                         json.RawMessage
		Nested                       *nestedAttributes `json:"nested_type"`
		Required, Optional, Computed bool
	}
	nestedAttributes struct {
		Nesting    string `json:"nesting_mode"`
		Attributes map[string]attribute
	}
	nestedBlock struct {
		Nesting string `json:"nesting_mode"`
		Block   block
		Min     int64 `json:"min_items"`
		Max     int64 `json:"max_items"`
	}
)

// readSchemas reads the file that SCHEMAS names the folder of.
func readSchemas(provider string) (map[string]*tfprotov6.Schema, error) {
	text, err := os.ReadFile(filepath.Join(os.Getenv("SCHEMAS"), provider+".json"))
	if err != nil {
		return nil, fmt.Errorf("SCHEMAS must name the folder with %s.json: %w", provider, err)
	}
	var file struct{ Resources map[string]block }
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	schemas := map[string]*tfprotov6.Schema{}
	for name, resource := range file.Resources {
		converted, err := resource.schema()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		schemas[name] = &tfprotov6.Schema{Block: converted}
	}
	return schemas, nil
}

func (b block) schema() (*tfprotov6.SchemaBlock, error) {
	attributes, err := attributesOf(b.Attributes)
	if err != nil {
		return nil, err
	}
	result := &tfprotov6.SchemaBlock{Attributes: attributes}
	modes := map[string]tfprotov6.SchemaNestedBlockNestingMode{
		"list": tfprotov6.SchemaNestedBlockNestingModeList, "set": tfprotov6.SchemaNestedBlockNestingModeSet, "single": tfprotov6.SchemaNestedBlockNestingModeSingle,
	}
	for name, nested := range b.Blocks {
		below, err := nested.Block.schema()
		if err != nil {
			return nil, err
		}
		one := &tfprotov6.SchemaNestedBlock{TypeName: name, Block: below, Nesting: modes[nested.Nesting]}
		if nested.Nesting != "single" {
			one.MinItems, one.MaxItems = nested.Min, nested.Max
		}
		result.BlockTypes = append(result.BlockTypes, one)
	}
	return result, nil
}

func attributesOf(attributes map[string]attribute) ([]*tfprotov6.SchemaAttribute, error) {
	var result []*tfprotov6.SchemaAttribute
	for name, a := range attributes {
		one := &tfprotov6.SchemaAttribute{Name: name, Required: a.Required, Optional: a.Optional, Computed: a.Computed}
		if a.Nested != nil {
			below, err := attributesOf(a.Nested.Attributes)
			if err != nil {
				return nil, err
			}
			modes := map[string]tfprotov6.SchemaObjectNestingMode{
				"list": tfprotov6.SchemaObjectNestingModeList, "set": tfprotov6.SchemaObjectNestingModeSet,
				"map": tfprotov6.SchemaObjectNestingModeMap, "single": tfprotov6.SchemaObjectNestingModeSingle,
			}
			one.NestedType = &tfprotov6.SchemaObject{Attributes: below, Nesting: modes[a.Nested.Nesting]}
		} else {
			type_, err := typeOf(a.Type)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			one.Type = type_
		}
		result = append(result, one)
	}
	return result, nil
}

func typeOf(text json.RawMessage) (tftypes.Type, error) {
	if string(text) == `"dynamic"` {
		return tftypes.DynamicPseudoType, nil
	}
	return tftypes.ParseJSONType(text) //nolint:staticcheck // the only reader of this form
}
