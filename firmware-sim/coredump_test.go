package firmwaresim

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What a process has in memory is in its dump, across pages too.
func TestDumpHasWhatIsInMemory(t *testing.T) {
	dir := t.TempDir()
	mark := strings.Repeat("what is looked for|", 3000)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte(mark+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := start(program(t, `read -r mark <`+file+`; echo read; sleep 600 & wait`), filepath.Join(dir, "log"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.signal(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		<-p.done
	}()
	err = poll(t.Context(), never, func(context.Context) error {
		tail, err := tailOf(filepath.Join(dir, "log"))
		if err == nil && !strings.Contains(tail, "read") {
			err = errors.New("it has not read yet")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var dumped bytes.Buffer
	if err := dump(t.Context(), p.cmd.Process.Pid, &dumped); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(dumped.Bytes(), []byte(mark)) {
		t.Errorf("%d bytes without what is in memory", dumped.Len())
	}
}
