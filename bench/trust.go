package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/internal/trust"
)

// repositoryCosts measures what a large job repository costs a client: bytes when one
// job changed, and time to verify.
func repositoryCosts(args []string) error {
	flags := flag.NewFlagSet("trust", flag.ContinueOnError)
	jobs := flags.Int("jobs", 10000, "jobs in the repository")
	rounds := flags.Int("rounds", 21, "measurements of each time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	g, err := newGrowingRepository(*jobs)
	if err != nil {
		return err
	}
	job := "job00042"
	paths := []string{trust.PolicyPath, trust.ClientPath("web1"), trust.JobPath(job)}
	pinned, err := trust.NewView(g.View.Root())
	if err != nil {
		return err
	}
	first := g.Bundle(pinned.Have(paths...), paths...)
	client, err := pinned.Update(first, time.Now())
	if err != nil {
		return err
	}
	kept, err := client.Encode()
	if err != nil {
		return err
	}
	if err := g.change(map[string][]byte{trust.JobPath(job): indexOf(job, 2)}); err != nil {
		return err
	}
	changed := g.Bundle(client.Have(paths...), paths...)
	sizes := map[string]int{}
	for name, bundle := range map[string]webjob.RepositoryBundle{"first": first, "one-job-changed": changed} {
		encoded, err := json.Marshal(bundle)
		if err != nil {
			return err
		}
		sizes[name] = len(encoded)
	}
	time1, err := repeated(*rounds, func() error { // what every run does
		r, err := trust.ParseView(kept, time.Now())
		if err == nil {
			_, err = r.Index(job)
		}
		return err
	})
	if err != nil {
		return err
	}
	time2, err := repeated(*rounds, func() error { // a run that has to take something new in
		r, err := trust.ParseView(kept, time.Now())
		if err == nil {
			if r, err = r.Update(changed, time.Now()); err == nil {
				_, err = r.Index(job)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return report("trust", []figure{
		newFigure(fmt.Sprintf("trust-%d-jobs-first", *jobs), "KB", "", []float64{float64(sizes["first"]) / 1000}),
		newFigure(fmt.Sprintf("trust-%d-jobs-one-changed", *jobs), "KB", "at most 200", []float64{float64(sizes["one-job-changed"]) / 1000}),
		newFigure(fmt.Sprintf("trust-%d-jobs-verify", *jobs), "ms", "at most 10", time1),
		newFigure(fmt.Sprintf("trust-%d-jobs-verify-change", *jobs), "ms", "at most 10", time2),
	})
}

func repeated(rounds int, do func() error) ([]float64, error) {
	var samples []float64
	for range rounds {
		start := time.Now()
		if err := do(); err != nil {
			return nil, err
		}
		samples = append(samples, float64(time.Since(start).Microseconds())/1000)
	}
	return samples, nil
}

// growingRepository is signed by two of three people.
type growingRepository struct {
	online *trust.PrivateKey
	people []*trust.PrivateKey
	trust.Published
}

func newGrowingRepository(jobs int) (*growingRepository, error) {
	g := &growingRepository{}
	var err error
	if g.online, err = trust.GenerateKey(trust.Ed25519); err != nil {
		return nil, err
	}
	var people []trust.NamedKey
	for _, name := range []string{"alice", "bob", "carol"} {
		key, err := trust.GenerateKey(trust.Ed25519)
		if err != nil {
			return nil, err
		}
		g.people, people = append(g.people, key), append(people, trust.NewNamedKey(name, key.PublicKey))
	}
	d, err := trust.NewDraft(people, 2, g.online.PublicKey, time.Now())
	if err != nil {
		return nil, err
	}
	if err := g.accept(d); err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for i := range jobs {
		name := fmt.Sprintf("job%05d", i)
		all[trust.JobPath(name)] = indexOf(name, 1)
	}
	return g, g.change(all)
}

func indexOf(name string, version int64) []byte {
	index := trust.NewJobIndex(name)
	for n := int64(1); n <= version; n++ {
		m := &webjob.Manifest{Name: name, Version: n, Scope: webjob.ScopeCommon}
		_ = index.Add(m, webjob.DigestOf(fmt.Append(nil, name, n))) // versions go up
	}
	content, _ := index.Encode() // plain strings and numbers
	return content
}

func (g *growingRepository) change(contents map[string][]byte) error {
	d, err := trust.Propose(g.View, "change", contents, time.Now())
	if err != nil {
		return err
	}
	return g.accept(d)
}

func (g *growingRepository) accept(d *trust.Draft) error {
	if _, err := d.Sign(g.View, g.people[:2]...); err != nil {
		return err
	}
	var err error
	g.Published, err = g.Accept(d, g.online, time.Now())
	return err
}
