//go:build soak

package e2e

// moreRounds are the other way around, and later times of each point.
var moreRounds = []struct{ leader, follower string }{
	{"log-tile", "log-intent"},
	{"log-published", "log-remembered"},
	{"log-dropped", "log-signed"},
	{"log-voted", "log-intent:3"},
	{"log-intended:3", "log-signed:5"},
	{"log-signed:7", "log-remembered:4"},
	{"log-remembered:5", "log-voted:6"},
	{"log-tile:2", "log-tile:2"},
	{"log-published:2", "log-dropped:2"},
}
