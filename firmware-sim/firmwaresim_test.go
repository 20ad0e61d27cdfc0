package firmwaresim

import (
	"fmt"
	"os"
	"testing"
)

// holdVariable has the test program start a child, tell its pid, and wait to be killed.
const holdVariable = "FIRMWARESIM_TEST_HOLD"

func TestMain(m *testing.M) {
	if log := os.Getenv(holdVariable); log != "" {
		p, err := start("/bin/sleep", log, nil, "600")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(p.cmd.Process.Pid)
		<-p.done
		os.Exit(1)
	}
	os.Exit(Main(m))
}
