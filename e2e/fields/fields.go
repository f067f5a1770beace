// Package fields finds fields of objects, and says whether a JSON schema knows them.
package fields

import (
	"slices"
	"testing"
)

// At is the field that the path leads to, or nil.
func At(value any, path ...any) any {
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

// Check fails for a name that the schema does not know, a value that is none of its enumeration, and a required field that is missing.
func Check(t testing.TB, path string, value, schema any) {
	t.Helper()
	if values, limited := At(schema, "enum").([]any); limited && !slices.Contains(values, value) {
		t.Errorf("%s: %v is none of %v", path, value, values)
	}
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			Check(t, path, item, At(schema, "items"))
		}
	case map[string]any:
		properties, known := At(schema, "properties").(map[string]any)
		if !known {
			return // any object
		}
		for name, below := range value {
			if properties[name] == nil {
				t.Errorf("%s has no field %q", path, name)
				continue
			}
			Check(t, path+"."+name, below, properties[name])
		}
		required, _ := At(schema, "required").([]any)
		for _, name := range required {
			if value[name.(string)] == nil {
				t.Errorf("%s: %v is required", path, name)
			}
		}
	}
}
