package endpoint

import (
	"context"
	"errors"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/endpoint/collect"
)

// collect gathers the files that the job names into the spool, within the RUN limit once
// more. What goes wrong is told in the record: the run itself is a result.
func (r *run) collect(ctx context.Context, rules *webjob.Collect, dir string) {
	ctx, cancel := context.WithTimeout(ctx, r.record.Limits.RunTime())
	defer cancel()
	gathered, err := r.gather(ctx, rules, dir)
	if err != nil {
		r.record.Errors = append(r.record.Errors, "collecting files: "+err.Error())
		return
	}
	r.record.Collected = &gathered.Collected
	r.record.Parts = append(r.record.Parts, gathered.Files, gathered.Contents)
}

func (r *run) gather(ctx context.Context, rules *webjob.Collect, dir string) (gathered collect.Gathered, err error) {
	list, err := r.entry.Create(webjob.Files)
	if err != nil {
		return gathered, err
	}
	defer func() { err = errors.Join(err, list.Close()) }()
	contents, err := r.entry.Create(webjob.Contents)
	if err != nil {
		return gathered, err
	}
	defer func() { err = errors.Join(err, contents.Close()) }()
	return collect.Gather(ctx, collect.Rules{
		Collect: *rules, Bytes: r.record.Limits.CollectBytes, Dir: dir, Private: r.state.Dir(),
	}, list, contents)
}
