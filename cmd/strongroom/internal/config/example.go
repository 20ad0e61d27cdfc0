package config

import _ "embed"

// Example is a commented configuration that is valid but for the files that it names.
//
//go:embed example.toml
var Example string
