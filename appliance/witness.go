package appliance

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"strongroom.internal/appliance/account"
	"strongroom.internal/appliance/audit"
	"strongroom.internal/cluster"
)

// External witnesses cosign the log's checkpoints by C2SP tlog-witness. The leader shows each of them the newest
// checkpoint, with proof that it is consistent with the one that the witness saw last; what comes back is added to the
// checkpoint. A witness that is away holds nothing up.

const (
	maxWitnesses    = 16
	maxWitnessLine  = 1024
	maxWitnessBody  = 64 << 10
	witnessTimeout  = 10 * time.Second
	maxWitnessProof = 63 // C2SP tlog-witness: at most 63 lines
)

type setWitnesses struct {
	Witnesses []audit.Witness `cbor:"1,keyasint"`
}

func (w *setWitnesses) decide(tx cluster.Tx) (estateDecision, error) {
	return estateDecision{operation: "set-log-witnesses", detail: inJSON(w.Witnesses), outcome: account.Done, write: func() {
		tx.Set([]byte(witnessesRecord), mustEncode(w.Witnesses))
	}}, nil
}

// LogWitnesses are the witnesses that checkpoints are shown to.
func (s *Service) LogWitnesses(ctx context.Context) ([]audit.Witness, error) {
	if err := s.engine.Sync(ctx); err != nil {
		return nil, engineError(err)
	}
	return s.witnesses()
}

func (s *Service) witnesses() (list []audit.Witness, err error) {
	err = s.engine.View(func(r cluster.Reader) error {
		list, _, err = readRecord[[]audit.Witness](r, witnessesRecord)
		return err
	})
	return list, err
}

// SetLogWitnesses replaces the list.
func (s *Service) SetLogWitnesses(ctx context.Context, c Caller, list []audit.Witness) error {
	if len(list) > maxWitnesses {
		return &InvalidError{Field: "witnesses", Reason: fmt.Sprintf("must be at most %d", maxWitnesses)}
	}
	seen := map[string]bool{}
	for _, w := range list {
		if _, err := audit.NewVerifier(w.VKey); err != nil || len(w.VKey) > 512 || seen[w.VKey] {
			return &InvalidError{Field: "vkey", Reason: "must be the vkey of a cosigner (C2SP signed-note), each once"}
		}
		seen[w.VKey] = true
		if u, err := url.Parse(w.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || len(w.URL) > 512 {
			return &InvalidError{Field: "url", Reason: "must be the submission prefix of a C2SP tlog-witness, https://host/…"}
		}
	}
	// A key that is no cosigner's, or a node's, would be in the policy that auditors are given, and nobody could read that.
	if err := s.engine.Sync(ctx); err != nil {
		return engineError(err)
	}
	policy, err := s.logPolicy(list)
	if err != nil {
		return err
	}
	if _, err := audit.ParsePolicy(policy); err != nil {
		return &InvalidError{Field: "witnesses", Reason: "can't be in the log's policy: " + err.Error()}
	}
	result, _, err := s.proposeEstate(ctx, estate{Actor: c.Identity, Witnesses: &setWitnesses{list}})
	if err != nil {
		return err
	}
	return refusal(result.Outcome)
}

// askWitnesses is the leader's: it shows the newest checkpoint to every witness that has not cosigned it.
func (s *Service) askWitnesses(ctx context.Context) error {
	info := s.estate.Load()
	if info == nil || s.members.Status().Leader != s.nodeID {
		return nil
	}
	list, err := s.witnesses()
	if err != nil || len(list) == 0 {
		return err
	}
	heads, err := s.engine.Log().Heads()
	if err != nil {
		return err
	}
	// Of a tree that is over, the last checkpoint too, until the next one has one.
	c, err := s.checkpoint(heads[len(heads)-1].Tree)
	if err != nil || c.Size == 0 {
		return err
	}
	var errs []error
	for _, w := range list {
		if err := s.askWitness(ctx, *info, w, c); err != nil {
			errs = append(errs, fmt.Errorf("asking the witness at %s: %w", w.URL, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) askWitness(ctx context.Context, info clusterInfo, w audit.Witness, c checkpoint) error {
	for _, x := range c.Witnesses {
		if x.VKey == w.VKey {
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, witnessTimeout)
	defer cancel()
	seen := s.seen[w.VKey+" "+c.Tree] // the size that the witness saw last, as far as this node knows
	for range 2 {
		body, err := s.witnessRequest(info, c, seen)
		if err != nil {
			return err
		}
		status, answer, err := s.postWitness(ctx, w, body)
		if err != nil {
			return err
		}
		switch status {
		case http.StatusOK:
			line, err := witnessLine(answer, c.text(info.TrustDomain), w.VKey)
			if err != nil {
				return err
			}
			s.seen[w.VKey+" "+c.Tree] = c.Size
			return s.proposeLog(ctx, logCommand{Witness: &witnessed{Tree: c.Tree, Size: c.Size, VKey: w.VKey, Line: line}})
		case http.StatusConflict: // it says which size it knows
			size, err := strconv.ParseInt(strings.TrimSpace(string(answer)), 10, 64)
			if err != nil || size < 0 || size > c.Size {
				return fmt.Errorf("it knows size %q of the log, which has %d", bytes.TrimSpace(answer[:min(len(answer), 32)]), c.Size)
			}
			seen = size
			s.seen[w.VKey+" "+c.Tree] = size
		default:
			return fmt.Errorf("it answers %d", status)
		}
	}
	return errors.New("it changes its mind about what it has seen")
}

// witnessRequest is the body of add-checkpoint: "old <size>", the consistency proof, an empty line, the checkpoint.
func (s *Service) witnessRequest(info clusterInfo, c checkpoint, seen int64) ([]byte, error) {
	b := fmt.Appendf(nil, "old %d\n", seen)
	if seen > 0 && seen < c.Size {
		t, err := s.engine.Log().Tree(c.Tree)
		if err != nil {
			return nil, err
		}
		proof, err := tlog.ProveTree(c.Size, seen, t)
		if err != nil || len(proof) > maxWitnessProof {
			return nil, fmt.Errorf("proving that size %d follows size %d: %w", c.Size, seen, err)
		}
		for _, h := range proof {
			b = append(base64.StdEncoding.AppendEncode(b, h[:]), '\n')
		}
	}
	return append(append(b, '\n'), c.note(info.TrustDomain)...), nil
}

func (s *Service) postWitness(ctx context.Context, w audit.Witness, body []byte) (status int, answer []byte, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(w.URL, "/")+"/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	a, err := s.http.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer a.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(a.Body, maxWitnessBody))
	return a.StatusCode, answer, err
}

// witnessLine finds the one signature line of a witness's answer that is of its key.
func witnessLine(answer []byte, text, vkey string) (string, error) {
	for line := range strings.Lines(string(answer)) {
		if len(line) <= maxWitnessLine && audit.CheckLine(text, line, vkey) == nil {
			return line, nil
		}
	}
	return "", errors.New("its answer has no signature of its key")
}
