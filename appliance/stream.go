package appliance

import (
	"context"

	"strongroom.internal/cluster"
)

// NoticeEvent is a notice in a front-end's stream.
type NoticeEvent struct {
	Number uint64 // of the tenant's notices; a stream resumes after it
	Type   string
	Body   []byte // JSON, as a webhook has it
}

// Notices gives the notices of the caller's tenant after a number to fn, and those that come, until ctx ends or fn fails.
// With a nil number it begins with those that come once begun was called, which is before the first; it is told whether some
// that came after the number are no longer kept: then the front-end has to look at its accounts again. The codes that a
// gateway sends are never among them.
func (s *Service) Notices(ctx context.Context, c Caller, after *uint64, begun func(missed bool) error, fn func(NoticeEvent) error) error {
	if err := s.engine.Sync(ctx); err != nil {
		return engineError(err)
	}
	var next uint64 // number of the next that fn is to have
	err := s.engine.View(func(r cluster.Reader) error {
		head, err := readHead(r, c.Tenant)
		next = head.Next + 1
		return err
	})
	if err != nil {
		return err
	}
	missed := false
	if after != nil && *after+1 < next {
		oldest := max(next, keepNotices+1) - keepNotices
		missed = *after+1 < oldest
		next = *after + 1
	}
	if err := begun(missed); err != nil {
		return err
	}
	for {
		rung := s.noticed.wait()
		list, last, err := s.noticesFrom(c.Tenant, next)
		if err != nil {
			return err
		}
		for _, n := range list {
			body, err := s.frontendBody(ctx, c.Tenant, n.Notice)
			if err != nil {
				return err
			}
			if err := fn(NoticeEvent{Number: n.Number, Type: n.Notice.Kind.String(), Body: body}); err != nil {
				return err
			}
		}
		next = max(next, last+1)
		if len(list) == maxStreamed {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rung:
			s.settle(ctx)
		}
	}
}

// maxStreamed is how many notices are read at a time.
const maxStreamed = 100

// noticesFrom reads the kept notices from a number on, and the number up to which it has read.
func (s *Service) noticesFrom(tenant string, from uint64) (list []numbered, last uint64, err error) {
	prefix := []byte(noticePrefix(tenant))
	err = s.engine.View(func(r cluster.Reader) error {
		head, err := readHead(r, tenant)
		if err != nil {
			return err
		}
		last = head.Next
		var failed error
		err = r.Scan(prefix, noticeKey(tenant, from), func(_, raw []byte) bool {
			var n numbered
			if failed = decode(raw, &n); failed != nil {
				return false
			}
			list = append(list, n)
			if len(list) == maxStreamed {
				last = n.Number
			}
			return len(list) < maxStreamed
		})
		if err == nil {
			err = failed
		}
		return err
	})
	return list, last, err
}
