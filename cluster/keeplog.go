//go:build !nolog

package cluster

// keepsLog is false in a program that was built with the tag nolog. The bench builds one to measure what the key-usage log
// costs; it is of no other use, and says so at its start.
const keepsLog = true
