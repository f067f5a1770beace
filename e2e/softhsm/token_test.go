package softhsm

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestATokenHasALabelAPinAndFiles(t *testing.T) {
	if _, err := os.Stat(Module); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the package softhsm2 is not installed")
	}
	token, err := NewToken(t.TempDir(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	pin, err := os.ReadFile(token.PinFile)
	if err != nil || !strings.HasPrefix(string(pin), "cu_user:") {
		t.Errorf("PIN file: %v", err)
	}
	files, err := token.PackFor("/mnt/token")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		if strings.Contains(file.Key, "/") || strings.Contains(string(file.Content), string(pin)) {
			t.Errorf("%s", file.Key)
		}
	}
	if !strings.Contains(string(files[0].Content), "/mnt/token/tokens") {
		t.Errorf("%s", files[0].Content)
	}
}
