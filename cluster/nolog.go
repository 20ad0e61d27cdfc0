//go:build nolog

package cluster

import (
	"fmt"
	"os"
)

const keepsLog = false

func init() {
	fmt.Fprintln(os.Stderr, "strongroom: built with the tag nolog: NO KEY-USAGE LOG IS KEPT. For measurements only.")
}
