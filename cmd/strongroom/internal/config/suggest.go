package config

import (
	"fmt"
	"reflect"
	"strings"
)

// unknown says that there is no such key, and which one may have been meant.
func unknown(key string, fields map[string]reflect.Value) error {
	best, distance := "", len(key)
	for candidate := range fields {
		d := edits(key, candidate)
		if name := candidate[strings.LastIndexByte(candidate, '.')+1:]; key[strings.LastIndexByte(key, '.')+1:] == name {
			d = min(d, 2) // the right name in the wrong section
		}
		if d < distance || d == distance && candidate < best {
			best, distance = candidate, d
		}
	}
	if distance <= 1+len(key)/4 {
		return fmt.Errorf("%s: no such key; did you mean %s?", key, best)
	}
	return fmt.Errorf("%s: no such key", key)
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
