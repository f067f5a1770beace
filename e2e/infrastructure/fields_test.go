// Fields of objects, and whether a JSON schema knows them.

package infrastructure

import (
	"slices"
	"testing"
)

// at is the field that the path leads to, or nil.
func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			fields, _ := value.(map[string]any)
			value = fields[step]
		case int:
			items, _ := value.([]any)
			if step >= len(items) {
				return nil
			}
			value = items[step]
		}
	}
	return value
}

// checkFields fails for a name that the schema does not know, a value that is none of its enumeration, and a required field that is missing.
func checkFields(t *testing.T, path string, value, schema any) {
	t.Helper()
	if values, limited := at(schema, "enum").([]any); limited && !slices.Contains(values, value) {
		t.Errorf("%s: %v is none of %v", path, value, values)
	}
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			checkFields(t, path, item, at(schema, "items"))
		}
	case map[string]any:
		properties, known := at(schema, "properties").(map[string]any)
		if !known {
			return // any object
		}
		for name, below := range value {
			if properties[name] == nil {
				t.Errorf("%s has no field %q", path, name)
				continue
			}
			checkFields(t, path+"."+name, below, properties[name])
		}
		required, _ := at(schema, "required").([]any)
		for _, name := range required {
			if value[name.(string)] == nil {
				t.Errorf("%s: %v is required", path, name)
			}
		}
	}
}
