package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"webjob.dev/webjob"
	"webjob.dev/webjob/api"
	"webjob.dev/webjob/internal/store/sqlite"
	"webjob.dev/webjob/internal/trust"
)

// growth measures P6: the same pages with more and more runs behind them.
func growth(args []string) error {
	flags := flag.NewFlagSet("p6", flag.ContinueOnError)
	most := flags.Int("runs", 1_000_000, "runs at the most")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx := context.Background()
	var figures []figure
	for _, n := range []int{*most / 100, *most / 10, *most} {
		w, err := newWorld(ctx, 0)
		if err != nil {
			return err
		}
		more, err := measureGrowth(ctx, w, n)
		if err := errors.Join(err, w.close()); err != nil {
			return err
		}
		figures = append(figures, more...)
	}
	return report("p6", figures)
}

// requestsPerPage is how often each page is asked for.
const requestsPerPage = 300

func measureGrowth(ctx context.Context, w *world, runs int) ([]figure, error) {
	if err := w.publish(ctx, "probe", "#!/bin/sh\n"); err != nil {
		return nil, err
	}
	file := filepath.Join(w.serverDir, "metadata.db")
	before, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if err := w.restartAfter(func() error { return w.fill(ctx, file, runs) }); err != nil {
		return nil, err
	}
	after, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	middle := fmt.Sprint(runs / 2)
	name := fmt.Sprintf("P6-%d-", runs)
	var figures []figure
	for _, page := range []struct {
		name, path string
		query      url.Values
	}{
		{"results-newest", api.PathOperatorResults, nil},
		{"results-middle", api.PathOperatorResults, url.Values{"after": {middle}}},
		{"results-of-client", api.PathOperatorResults, url.Values{"client": {"client000042"}}},
		{"results-failed", api.PathOperatorResults, url.Values{"outcome": {"failed"}}},
		{"results-since", api.PathOperatorResults, url.Values{"since": {time.Now().Add(-time.Duration(runs/2) * time.Second).UTC().Format(time.RFC3339)}}},
		{"order-progress", api.OrderPath("growth"), nil},
		{"order-runs", api.OrderPath("growth", "runs"), url.Values{"after": {middle}}},
		{"order-runs-failed", api.OrderPath("growth", "runs"), url.Values{"state": {"failed"}}},
		{"orders", api.PathOrders, nil},
		{"clients", api.PathClients, url.Values{"after": {"client000500"}}},
	} {
		var took []float64
		for range requestsPerPage {
			start := time.Now()
			var answer json.RawMessage
			if err := w.session.Call(ctx, http.MethodGet, page.path, page.query, nil, &answer); err != nil {
				return nil, fmt.Errorf("%s: %w", page.name, err)
			}
			took = append(took, float64(time.Since(start).Microseconds())/1000)
		}
		slices.Sort(took)
		figures = append(figures, figure{
			Name: name + page.name + "-p99", Unit: "ms", Target: "at most 50", Value: took[len(took)*99/100], Low: took[0], High: took[len(took)-1],
		})
	}
	bytes := float64(after.Size()-before.Size()) / float64(runs) / 1000
	return append(figures, newFigure(name+"metadata", "KB a run", "at most 2", []float64{bytes})), nil
}

// restartAfter stops the server, does something behind its back, and starts it again.
func (w *world) restartAfter(change func() error) error {
	server := w.programs[0]
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := errors.Join(server.Wait(), change()); err != nil {
		return err
	}
	start := time.Now()
	w.programs = w.programs[1:]
	if err := w.launch("msg=ready", "bin/webjobd", "serve", "--dir", w.serverDir); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "the server was ready %d ms after its start\n", time.Since(start).Milliseconds())
	return nil
}

// fill adds an order of so many runs, and their results, by a thousand clients.
func (w *world) fill(ctx context.Context, file string, runs int) error {
	s, err := sqlite.Open(ctx, file)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	clients := make([]string, 1000)
	token := webjob.Token{ID: "t", Secret: webjob.DigestOf([]byte("t")), Role: webjob.RoleClient, Uses: int64(len(clients)), Expires: time.Now().Add(time.Hour)}
	if err := s.AddToken(ctx, token); err != nil {
		return err
	}
	for i := range clients {
		clients[i] = fmt.Sprintf("client%06d", i)
		c := webjob.Client{ID: clients[i], Platform: "linux/amd64", Key: webjob.EmptyDigest, EnrolledAt: time.Now().UTC().Truncate(time.Microsecond)}
		certificate := webjob.Certificate{Serial: big.NewInt(int64(i)), NotAfter: token.Expires}
		if err := s.Enroll(ctx, token.Secret, c, certificate, nil); err != nil {
			return err
		}
	}
	order, err := w.growthOrder()
	if err != nil {
		return err
	}
	if _, err := s.AddOrder(ctx, order, nil); err != nil {
		return err
	}
	start := time.Now().UTC().Add(-time.Duration(runs) * time.Second)
	var work sync.WaitGroup
	const writers = 256
	errs := make([]error, writers)
	for k := range writers {
		work.Go(func() {
			for i := k; i < runs && errs[k] == nil; i += writers {
				errs[k] = addRun(ctx, s, order, clients[i%len(clients)], i, start.Add(time.Duration(i)*time.Second))
			}
		})
	}
	work.Wait()
	return errors.Join(errs...)
}

func (w *world) growthOrder() (webjob.OrderStatus, error) {
	keys, err := w.home.SigningKeys(nil)
	if err != nil {
		return webjob.OrderStatus{}, err
	}
	at := time.Now().UTC().Truncate(time.Second)
	order := webjob.Order{ // the server is down, and nobody runs it: the manifest does not matter
		Format: webjob.OrderFormat, ID: "growth", Job: "probe", Version: 1, Manifest: webjob.EmptyDigest, On: "all",
		Created: at, NotBefore: at, Expires: at.Add(time.Hour), Late: true,
	}
	envelope, err := trust.SignOrder(&order, keys...)
	return webjob.OrderStatus{Order: order, State: webjob.OrderOpen, CreatedBy: "bench", Envelope: envelope}, err
}

func addRun(ctx context.Context, s *sqlite.Store, order webjob.OrderStatus, client string, i int, at time.Time) error {
	made, err := newResult(client, order.Manifest, webjob.EmptyDigest)
	if err != nil {
		return err
	}
	run := fmt.Sprintf("growth.%s-%d", client, i)
	status := 0
	r := webjob.Result{
		Run: run, Client: client, Job: fmt.Sprintf("job%d", i%20), Version: 1, Outcome: webjob.Succeeded, ExitStatus: &status, Started: at, DurationMS: 5,
		Received: at.Truncate(time.Microsecond), Bytes: 200, Record: made.body[:800], Inline: made.body[len(made.body)-200:],
	}
	if i%50 == 0 {
		r.Outcome = webjob.Failed
	}
	_, err = s.AddResult(ctx, r, nil, webjob.ResultEffects{AddRun: true, OrderRun: &webjob.OrderRun{
		Run: run, Order: order.ID, Client: client, Rank: int64(i), State: webjob.StateOf(r.Outcome), Updated: at.Truncate(time.Microsecond),
	}})
	return err
}
