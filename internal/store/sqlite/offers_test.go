package sqlite_test

import (
	"fmt"
	"testing"
	"time"

	"webjob.dev/webjob"
)

// What it costs to offer 1,000 of an order's 10,000 runs, and to take their results.
func BenchmarkOffers(b *testing.B) {
	s := open(b, b.TempDir())
	b.Cleanup(func() { _ = s.Close() })
	var offering time.Duration
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		o := webjob.OrderStatus{Order: webjob.Order{ID: fmt.Sprint("o", n)}, State: webjob.OrderOpen, Envelope: []byte{}}
		runs := make([]webjob.OrderRun, 10_000)
		for i := range runs {
			runs[i] = webjob.OrderRun{Run: fmt.Sprint(o.ID, ".", i), Order: o.ID, Client: fmt.Sprint(i), State: webjob.RunQueued, At: time.Now(), Updated: time.Now()}
		}
		if _, err := s.AddOrder(b.Context(), o, runs); err != nil {
			b.Fatal(err)
		}
		offers := make([]webjob.Offer, 1000)
		for i := range offers {
			offers[i] = webjob.Offer{Order: o.ID, Run: runs[i*10].Run}
		}
		b.StartTimer()
		start := time.Now()
		given, err := s.OfferRuns(b.Context(), offers, time.Now().Add(time.Minute))
		if err != nil || len(given) != len(offers) {
			b.Fatal(len(given), err)
		}
		offering += time.Since(start)
		for i := range 100 {
			run := runs[i*10]
			run.State = webjob.RunDone
			r := webjob.Result{Run: run.Run, Client: run.Client, Job: "j", Version: 1, Outcome: webjob.Succeeded, Received: time.Now(), Started: time.Now(), Record: []byte("{}")}
			if _, err := s.AddResult(b.Context(), r, nil, webjob.ResultEffects{OrderRun: &run}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(offering.Microseconds())/float64(b.N)/1000, "offers-ms")
}
