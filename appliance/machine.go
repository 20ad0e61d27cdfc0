package appliance

import (
	"context"
	"fmt"

	"strongroom.internal/appliance/account"
	"strongroom.internal/cluster"
)

// Machine is the state machine that every node runs: it routes a command to the core that decides it, and keeps what
// the core says. It is pure but for Changed.
type Machine struct {
	// Changed, when set, is told of every account whose credentials were removed, after the fact and on every node, so
	// that seeds that are still resident in this node's module can be dropped. It must not block and decides nothing.
	Changed func(tenant, account string)
	// LogChanged, when set, is told when there is something new to sign, or a new checkpoint. It must not block.
	LogChanged func()
	// Noticed, when set, is told when there are notices to deliver. It must not block.
	Noticed func()
}

// A command's first byte says which core decides it. An unknown one stops the node.
const (
	accountCommand byte = 'a'
	estateCommand  byte = 'e'
	logCommandByte byte = 'l'

	noticeCommandByte byte = 'n'
)

// Apply decides one committed command.
func (m *Machine) Apply(tx cluster.Tx, command []byte) (cluster.Applied, error) {
	if len(command) == 0 {
		return cluster.Applied{}, fmt.Errorf("applying an empty command")
	}
	switch command[0] {
	case accountCommand:
		return m.applyAccount(tx, command[1:])
	case estateCommand:
		return applyEstate(tx, command[1:])
	case noticeCommandByte:
		return applyNotice(tx, command[1:])
	case logCommandByte:
		a, err := applyLog(tx, command[1:])
		if err == nil && m.LogChanged != nil {
			m.LogChanged()
		}
		return a, err
	}
	return cluster.Applied{}, fmt.Errorf("applying a command of unknown kind %#x", command[0])
}

func (m *Machine) applyAccount(tx cluster.Tx, encoded []byte) (cluster.Applied, error) {
	cmd, err := account.DecodeCommand(encoded)
	if err != nil {
		return cluster.Applied{}, fmt.Errorf("decoding an account command: %w", err)
	}
	policy, err := readPolicy(tx, cmd.Tenant)
	if err != nil {
		return cluster.Applied{}, err
	}
	state, err := readAccount(tx, cmd.Tenant, cmd.Account)
	if err != nil {
		return cluster.Applied{}, err
	}
	if err := noteOutbox(tx, cmd, &policy); err != nil {
		return cluster.Applied{}, err
	}
	decision := account.Apply(policy, state, cmd)
	keep, err := prepareNotices(tx, cmd.Tenant, decision.Notices)
	if err != nil {
		return cluster.Applied{}, err
	}
	var priors [][]byte
	if decision.Erase { // which tells nobody
		if keep, err = prepareErasure(tx, cmd.Tenant, cmd.Account); err != nil {
			return cluster.Applied{}, err
		}
		if priors, err = priorsOf(tx, cmd); err != nil {
			return cluster.Applied{}, err
		}
	}
	return cluster.Applied{
		Entries: decision.Entries(),
		Erases:  erases(cmd, decision.Erase),
		Finish: func(entry int64) []byte {
			decision.SetEntry(entry)
			keep()
			if len(decision.Notices) > 0 && m.Noticed != nil {
				m.Noticed()
			}
			key := accountKey(cmd.Tenant, cmd.Account)
			if q := cmd.Protecting(); q != nil && decision.Keeps {
				tx.Set(priorKey(q.PriorDay, cmd.Tenant, cmd.Account), q.Prior)
			}
			switch {
			case decision.Erase:
				tx.Delete(key)
				for _, prior := range priors {
					tx.Delete(prior)
				}
			case decision.Next != nil:
				tx.Set(key, account.EncodeState(decision.Next))
			}
			if m.Changed != nil && dropsSeeds(cmd) && (decision.Erase || decision.Next != nil) {
				m.Changed(cmd.Tenant, cmd.Account)
			}
			return mustEncode(decision.Result)
		},
	}, nil
}

// dropsSeeds says that a command may take credentials away.
func dropsSeeds(cmd *account.Command) bool {
	return cmd.Remove != nil || cmd.Delete != nil || cmd.Lose != nil || cmd.ChangePassword != nil || cmd.RedeemGrant != nil ||
		cmd.EndTrust != nil && cmd.EndTrust.Device != ""
}

// erases are the prefixes under which there may be something of an account that is erased: its record, its earlier
// settings, and notices that were delivered long ago.
func erases(cmd *account.Command, erase bool) [][]byte {
	if !erase {
		return nil
	}
	return [][]byte{accountKey(cmd.Tenant, cmd.Account), []byte(priorPrefix), []byte(outboxPrefix)}
}

// proposeAccount commits an account command and returns what the core said of it.
func (s *Service) proposeAccount(ctx context.Context, cmd *account.Command) (account.Result, uint64, error) {
	if err := cmd.Validate(); err != nil {
		return account.Result{}, 0, &InvalidError{Field: "request", Reason: err.Error()}
	}
	encoded := append(make([]byte, 0, 512), accountCommand)
	committed, err := s.engine.Propose(ctx, append(encoded, account.EncodeCommand(cmd)...))
	if err != nil {
		return account.Result{}, 0, engineError(err)
	}
	var result account.Result
	if err := decode(committed.Data, &result); err != nil {
		return account.Result{}, 0, fmt.Errorf("reading the decision: %w", err)
	}
	return result, committed.Position, nil
}
