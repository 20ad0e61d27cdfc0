//go:build !soak

package e2e

// moreRounds are for `go test -tags soak`.
var moreRounds []struct{ leader, follower string }
