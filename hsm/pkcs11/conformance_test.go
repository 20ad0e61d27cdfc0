package pkcs11_test

import (
	"testing"

	"strongroom.internal/hsm/hsmtest"
)

func TestConformance(t *testing.T) {
	hsmtest.Run(t, func(t testing.TB) hsmtest.Rig { return newToken(t).rig(t) })
}

func Benchmark(b *testing.B) {
	hsmtest.Benchmark(b, func(b testing.TB) hsmtest.Rig { return newToken(b).rig(b) })
}
