package appliance

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"strongroom.internal/appliance/account"
	"strongroom.internal/cluster"
)

// The state's keys. An account's name follows a NUL, which no tenant's name may hold, so no two accounts share a key.
const (
	accountPrefix = "a/" // a/<tenant>\x00<account>
	policyPrefix  = "p/" // p/<tenant>
	memberPrefix  = "n/" // n/<node id>
	tokenPrefix   = "t/" // t/<SHA-256 of the token's secret>
	sealedPrefix  = "k/" // k/<key name>/<version>
	clusterRecord = "c/cluster"

	outboxPrefix  = "o/"
	pendingPrefix = outboxPrefix + "pending/" // o/pending/<tenant>\x00<destination>/<number>
	webhookPrefix = outboxPrefix + "webhook/" // o/webhook/<tenant>\x00<destination>

	intentRecord     = "g/intent"
	checkpointPrefix = "g/checkpoint/" // g/checkpoint/<tree>
	witnessesRecord  = "g/witnesses"
	retentionRecord  = "g/retention"
	archivePrefix    = "g/archived/" // g/archived/<tree>
	prunedPrefix     = "g/pruned/"   // g/pruned/<tree>
)

var (
	encoder = must(cbor.CoreDetEncOptions().EncMode())
	decoder = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   8,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// mustEncode encodes a record of ours; one that can't be encoded is a defect of its type.
func mustEncode(v any) []byte { return must(encoder.Marshal(v)) }

func decode(b []byte, v any) error { return decoder.Unmarshal(b, v) }

func accountKey(tenant, name string) []byte {
	key := make([]byte, 0, len(accountPrefix)+len(tenant)+1+len(name))
	key = append(key, accountPrefix...)
	key = append(key, tenant...)
	key = append(key, 0)
	return append(key, name...)
}

func readAccount(r cluster.Reader, tenant, name string) (*account.State, error) {
	raw, err := r.Get(accountKey(tenant, name))
	if err != nil {
		return nil, fmt.Errorf("reading an account: %w", err)
	}
	if raw == nil {
		return nil, nil
	}
	state, err := account.DecodeState(raw)
	if err != nil {
		return nil, fmt.Errorf("decoding an account: %w", err)
	}
	return state, nil
}

func readPolicy(r cluster.Reader, tenant string) (Policy, error) {
	policy, _, err := readRecord[Policy](r, policyPrefix+tenant)
	return policy, err
}

// readRecord reads one CBOR record; found is false when there is none.
func readRecord[T any](r cluster.Reader, key string) (value T, found bool, err error) {
	raw, err := r.Get([]byte(key))
	if err != nil {
		return value, false, fmt.Errorf("reading %q: %w", key, err)
	}
	if raw == nil {
		return value, false, nil
	}
	if err := decode(raw, &value); err != nil {
		return value, false, fmt.Errorf("decoding %q: %w", key, err)
	}
	return value, true, nil
}

// scanRecords decodes every record under a prefix, in key order.
func scanRecords[T any](r cluster.Reader, prefix string, fn func(key string, value T)) error {
	var failed error
	err := r.Scan([]byte(prefix), nil, func(key, raw []byte) bool {
		var value T
		if err := decode(raw, &value); err != nil {
			failed = fmt.Errorf("decoding %q: %w", key, err)
			return false
		}
		fn(string(key), value)
		return true
	})
	if failed != nil {
		return failed
	}
	return err
}
