package export

import (
	"context"
	"iter"

	"golang.org/x/sync/errgroup"
)

// inOrder has files read by workers ahead of their use, and uses them one by one in their order. begin is called in that
// order too, and what it returns is run by a worker. At most window files are read and not used, so memory is bounded
// whatever the log's size. The first error ends it, and everything that was begun has ended when inOrder returns.
func inOrder(ctx context.Context, files iter.Seq[file], workers, window int,
	begin func(context.Context, file) func() (*content, error), use func(file, *content) error,
) error {
	type job struct {
		file file
		run  func() (*content, error)
		done chan struct{}
		got  *content
		err  error
	}
	group, ctx := errgroup.WithContext(ctx)
	work := make(chan *job)
	queue := make(chan *job, window)
	group.Go(func() error {
		defer close(work)
		defer close(queue)
		for f := range files {
			j := &job{file: f, run: begin(ctx, f), done: make(chan struct{})}
			// The place in the queue comes first: it is what bounds how far ahead reading goes.
			select {
			case queue <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case work <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range workers {
		group.Go(func() error {
			for j := range work {
				j.got, j.err = j.run()
				close(j.done)
			}
			return nil
		})
	}
	group.Go(func() error {
		for j := range queue {
			select {
			case <-j.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if j.err != nil {
				return j.err
			}
			if err := use(j.file, j.got); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}
