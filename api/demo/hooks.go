package demo

import (
	"encoding/json"
	"fmt"

	"strongroom.internal/api/wire"
)

// takeNotice is the push service: what the account's devices are to be told, it tells them, and it keeps the newest for
// the account page.
func (s *Site) takeNotice(body []byte) error {
	var n wire.Notice
	var data wire.NoticeData
	if err := json.Unmarshal(body, &n); err != nil {
		return fmt.Errorf("reading a notice: %w", err)
	}
	if err := json.Unmarshal(n.Data, &data); err != nil {
		return fmt.Errorf("reading a notice: %w", err)
	}
	h := s.homes.ofAccount(data.Account)
	if h == nil {
		return nil // a front-end that has no such person: another program of the tenant may
	}
	for _, d := range h.devices() {
		if _, err := d.Push(n); err != nil {
			return err
		}
	}
	h.noted(n, data)
	mailed := h.mailed(n, data)
	if mailed || n.Type == wire.NoticeDeviceRemoved || n.Type == wire.NoticeDeviceLost || data.Recovery != "" {
		s.keep(h)
	}
	if mailed {
		h.changed(paneMessages)
	}
	h.changed(panePhone, paneMac, paneAccount)
	return nil
}

// takeJob is the telephone company: it brings the text, or rings.
func (s *Site) takeJob(body []byte) error {
	var n struct {
		Type string       `json:"type"`
		Data wire.CodeJob `json:"data"`
	}
	if err := json.Unmarshal(body, &n); err != nil {
		return fmt.Errorf("reading a job: %w", err)
	}
	if n.Type != wire.NoticeSend && n.Type != wire.NoticeTell {
		return nil
	}
	h := s.homes.ofAccount(n.Data.Account)
	if h == nil {
		return nil
	}
	h.received(n.Data)
	h.changed(paneMessages)
	if n.Type == wire.NoticeSend && n.Data.Channel == "text" {
		s.work.Go(func() { s.textArrived(h, n.Data) })
	}
	return nil
}

// keep writes a home down; that it can't be is for the log.
func (s *Site) keep(h *home) {
	if err := s.homes.save(h); err != nil {
		s.log.Error("keeping a home", "error", err)
	}
}
