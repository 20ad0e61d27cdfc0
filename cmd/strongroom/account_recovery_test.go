package main

import (
	"strings"
	"testing"
	"time"

	"strongroom.internal/api/wire"
)

// TestA4_WhatTheHelpDeskReads: the state, the date, what would help, and the explanation; no nonce and no number.
func TestA4_WhatTheHelpDeskReads(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	var b strings.Builder
	recoveryTable(&b, wire.Recovery{
		ID: "r1", State: wire.RecoveryWaiting, Explanation: "It waits.", Nonce: []byte("nonce"), Started: at, Ready: at.Add(14 * 24 * time.Hour),
		Expires: at.Add(28 * 24 * time.Hour), Evidence: []string{"email"}, Helps: []wire.Help{{Kind: "phone_code", Hours: 120}},
	})
	want := "recovery\tr1\nstate\twaiting\nstarted\t2030-01-02T03:04:05Z\nready\t2030-01-16T03:04:05Z\nexpires\t2030-01-30T03:04:05Z\n" +
		"evidence\temail\nwould help\tphone_code (120 h)\n\nIt waits.\n"
	if b.String() != want {
		t.Errorf("it is\n%s\nwant\n%s", b.String(), want)
	}
}
