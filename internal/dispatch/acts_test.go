package dispatch

import (
	"encoding/json"
	"strings"
	"testing"

	"webjob.dev/webjob"
)

// What the server does to an order by itself is in the log, with why.
func TestServerRecordsItsStops(t *testing.T) {
	w := newWorld(t, 1, "web1", "web2")
	d := w.dispatcher(w.store)
	w.create(d, w.order("o1", func(o *webjob.Order) { o.StopAt = 10 }), "alice")
	w.result(d, "o1", "web1", webjob.Failed)
	w.isState("o1", webjob.OrderStopped)
	entries, err := w.store.ListActs(t.Context(), webjob.ActFilter{Action: "order.stop", Page: webjob.Page{Limit: 9}})
	w.must(err)
	if len(entries) != 1 {
		t.Fatalf("%d entries", len(entries))
	}
	var text webjob.AuditText
	w.must(json.Unmarshal(entries[0].Text, &text))
	if text.Actor != webjob.ServerActor || text.Target != "o1" || !strings.Contains(text.Reason, "failed") || string(text.After) != `{"state":"stopped"}` {
		t.Errorf("%s", entries[0].Text)
	}
}
